//! Where the PostgreSQL cluster is, and who its server runs as: it refuses to be root.

use super::{
    home::Home,
    process::{Account, LastWord, command},
    progress::say,
};
use anyhow::Context;
use nix::unistd::{Gid, Uid, User, chown, geteuid};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};
use uuid::Uuid;

/// Where clusters are whose home is closed to the server's user.
const ELSEWHERE: &str = "/var/lib/rollcall";

/// A directory, and whom the server runs as if not as we do.
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) account: Option<Account>,
}

impl Place {
    /// `$ROLLCALL_HOME/postgres`, or where that points to.
    pub(crate) async fn find(home: &Home) -> anyhow::Result<Self> {
        let link = home.join("postgres");
        if link.is_symlink() && !link.exists() {
            fs::remove_file(&link)?;
        }
        let account = if geteuid().is_root() { Some(account_for(&link)?) } else { None };
        create(&link, account)?;
        if let Some(account) = account
            && !is_open_to(&link.canonicalize()?, account).await?
        {
            move_elsewhere(home, &link, account)?;
        }
        // Itself, since the way to the link may be closed to the server's user.
        Ok(Self { directory: link.canonicalize()?, account })
    }
}

/// Who has the directory already, so that a home that an ordinary user began goes on as it was; else one of the system's.
fn account_for(directory: &Path) -> anyhow::Result<Account> {
    if let Ok(owner) = fs::metadata(directory)
        && owner.uid() != 0
    {
        return Ok(Account { uid: Uid::from_raw(owner.uid()), gid: Gid::from_raw(owner.gid()) });
    }
    let user = User::from_name("postgres")?.or(User::from_name("nobody")?);
    let user =
        user.context("PostgreSQL can't run as root, and there is neither a user `postgres` nor `nobody`")?;
    Ok(Account { uid: user.uid, gid: user.gid })
}

fn create(directory: &Path, account: Option<Account>) -> anyhow::Result<()> {
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if let Some(Account { uid, gid }) = account {
            chown(directory, Some(uid), Some(gid))?;
        }
        std::io::Result::Ok(())
    };
    create().with_context(|| format!("can't make {}", directory.display()))
}

/// Asked of the kernel, which knows every directory on the way.
async fn is_open_to(directory: &Path, account: Account) -> anyhow::Result<bool> {
    let mut test = command(Path::new("test"), LastWord::Kill, Some(account));
    Ok(test.arg("-w").arg(directory).stderr(Stdio::null()).status().await?.success())
}

fn move_elsewhere(home: &Home, link: &Path, account: Account) -> anyhow::Result<()> {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, home.path().as_os_str().as_encoded_bytes());
    let place = Path::new(ELSEWHERE).join(name.to_string());
    say(format_args!(
        "PostgreSQL's user can't enter {}: its data is in {}",
        home.path().display(),
        place.display()
    ));
    if place.exists() {
        say("what is there is of a home that is gone, and is removed");
        fs::remove_dir_all(&place)?;
    }
    DirBuilder::new().recursive(true).mode(0o755).create(ELSEWHERE)?;
    create(&place, Some(account))?;
    let replace = fs::remove_dir(link).and_then(|()| symlink(&place, link));
    replace.with_context(|| format!("can't make a link of {}", link.display()))
}
