//! Where the PostgreSQL cluster is, and which user its server runs as: PostgreSQL refuses to run as root.

use super::{
    home::Home,
    process::{Account, DeathSignal, command},
    progress::say,
};
use anyhow::{Context, bail, ensure};
use nix::unistd::{Gid, Uid, User, chown, geteuid};
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::{DirBuilderExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};
use uuid::Uuid;

/// The parent of clusters whose home the server's user can't enter.
const ELSEWHERE: &str = "/var/lib/rollcall";

/// The directory of a cluster, and the server's account if it is not that of this process.
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) account: Option<Account>,
}

impl Place {
    /// Finds or creates `$ROLLCALL_HOME/postgres`, or the directory that it links to.
    pub(crate) async fn find(home: &Home) -> anyhow::Result<Self> {
        let link = home.join("postgres");
        check_link(&link)?;
        let account = if geteuid().is_root() { Some(account_for(&link)?) } else { None };
        create(&link, account)?;
        if let Some(account) = account
            && !is_open_to(&link.canonicalize()?, account).await?
        {
            move_elsewhere(Path::new(ELSEWHERE), home.path(), &link, account)?;
        }
        // Resolved, because the server's user may not be able to reach the link.
        Ok(Self { directory: link.canonicalize()?, account })
    }
}

/// Fails if the link's target can't be reached. A disk may not be mounted, and a new empty cluster would
/// have none of the users' keys.
fn check_link(link: &Path) -> anyhow::Result<()> {
    if link.is_symlink() && fs::metadata(link).is_err() {
        bail!(
            "{} is a link to {}, which can't be reached. The users' keys are there: mount or restore it. To start without those users, \
             remove the link",
            link.display(),
            fs::read_link(link)?.display()
        );
    }
    Ok(())
}

/// The owner of the directory, so that a home of an ordinary user stays as it is; else a user of the
/// system.
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
    create().with_context(|| format!("can't create {}", directory.display()))
}

/// Asks the kernel, because every directory on the path matters.
async fn is_open_to(directory: &Path, account: Account) -> anyhow::Result<bool> {
    let mut test = command(Path::new("test"), DeathSignal::Kill, Some(account));
    Ok(test.arg("-w").arg(directory).stderr(Stdio::null()).status().await?.success())
}

/// Moves the cluster to a place that the server's user can enter, and leaves a link in the home. An
/// existing cluster there has this home's name, so it is used again and never removed.
fn move_elsewhere(elsewhere: &Path, home: &Path, link: &Path, account: Account) -> anyhow::Result<()> {
    let place = elsewhere.join(name_of(home));
    say(format_args!(
        "PostgreSQL's user can't enter {}, so its data is in {}",
        home.display(),
        place.display()
    ));
    ensure!(
        fs::read_dir(link)?.next().is_none(),
        "{} contains data that PostgreSQL's user ({}) can't reach: let that user enter the directory, or move the data to {} and put a link in its place",
        link.display(),
        account.uid,
        place.display()
    );
    if place.exists() {
        say("this directory exists already and is used as it is");
    } else {
        DirBuilder::new().recursive(true).mode(0o755).create(elsewhere)?;
        create(&place, Some(account))?;
    }
    let replace = fs::remove_dir(link).and_then(|()| symlink(&place, link));
    replace.with_context(|| format!("can't replace {} with a link", link.display()))
}

/// A stable name for a home.
fn name_of(home: &Path) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, home.as_os_str().as_encoded_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed after the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let directory = std::env::temp_dir().join(format!("rollcall-place-{}", Uuid::new_v4()));
            fs::create_dir_all(directory.join("home/postgres")).unwrap();
            Self(directory)
        }

        fn moved(&self) -> anyhow::Result<PathBuf> {
            let (home, us) = (self.0.join("home"), Account { uid: geteuid(), gid: nix::unistd::getegid() });
            move_elsewhere(&self.0.join("elsewhere"), &home, &home.join("postgres"), us)?;
            Ok(self.0.join("elsewhere").join(name_of(&home)))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_cluster_is_found_again_without_its_link() {
        let scratch = Scratch::new();
        let (place, link) = (scratch.moved().unwrap(), scratch.0.join("home/postgres"));
        fs::create_dir(place.join("data")).unwrap();
        fs::write(place.join("data/PG_VERSION"), "15").unwrap();
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert_eq!(scratch.moved().unwrap(), place);
        assert_eq!(fs::read_to_string(link.join("data/PG_VERSION")).unwrap(), "15");
    }

    #[test]
    fn unreachable_data_stays_where_it_is() {
        let scratch = Scratch::new();
        let file = scratch.0.join("home/postgres/PG_VERSION");
        fs::write(&file, "15").unwrap();
        assert!(scratch.moved().unwrap_err().to_string().contains("let that user enter"));
        assert!(file.exists());
    }

    #[test]
    fn a_dead_link_is_refused_and_kept() {
        let scratch = Scratch::new();
        let (place, link) = (scratch.moved().unwrap(), scratch.0.join("home/postgres"));
        assert!(check_link(&link).is_ok());
        fs::remove_dir(&place).unwrap();
        let refused = check_link(&link).unwrap_err().to_string();
        assert!(refused.contains(&place.display().to_string()) && refused.contains("mount"), "{refused}");
        assert!(link.is_symlink());
    }
}
