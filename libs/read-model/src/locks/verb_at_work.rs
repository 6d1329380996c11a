//! The verb that is at work on generations, as others see it: the name of its session in
//! PostgreSQL.

use super::Subject;
use events_schema::millis;
use time::OffsetDateTime;

/// Between the name of a verb and its place.
const ON: &str = " on ";

/// The longest `application_name`. PostgreSQL cuts off the rest.
const MAX_NAME: usize = 63;

/// A verb that works on generations, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Builds a generation.
    Rebuild,
    /// Compares one with the live one.
    Verify,
    /// Makes one the live one.
    Promote,
    /// Makes the former one the live one.
    Rollback,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Rebuild => "rollcall projection rebuild",
            Self::Verify => "rollcall projection verify",
            Self::Promote => "rollcall projection promote",
            Self::Rollback => "rollcall projection rollback",
        }
    }
}

/// The verb that is at work on generations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}{of}` is at work{} since {}: wait until it ends, or stop it there with Ctrl-C", on(place.as_deref()), millis(*since))]
pub struct VerbAtWork {
    /// Its name, which may be that of another release.
    name: String,
    /// The option that names a projection.
    of: String,
    /// `<host>/<process id>`. `None`: a verb of an earlier release.
    place: Option<String>,
    /// Since when.
    since: OffsetDateTime,
}

impl VerbAtWork {
    pub(super) fn new(name: &str, since: OffsetDateTime, subject: Subject<'_>) -> Self {
        let (name, place) = match name.split_once(ON) {
            Some((name, place)) => (name, Some(place.to_owned())),
            None => (name, None),
        };
        let of = match subject {
            Subject::Users => String::new(),
            Subject::Projection(name) => format!(" --projection {name}"),
        };
        Self { name: name.to_owned(), of, place, since }
    }

    /// Whether it builds a generation.
    pub fn is_rebuild(&self) -> bool {
        self.name == Verb::Rebuild.name()
    }
}

fn on(place: Option<&str>) -> String {
    place.map(|place| format!("{ON}{place}")).unwrap_or_default()
}

/// What others see of a verb at work. If it is too long, the host's name is cut.
pub(super) fn name_of(verb: Verb, place: &str) -> String {
    let verb = verb.name();
    let (host, process) = place.rsplit_once('/').unwrap_or((place, ""));
    let left = MAX_NAME.saturating_sub(verb.len() + ON.len() + "/".len() + process.len());
    let host: String = host.chars().filter(char::is_ascii).take(left).collect();
    format!("{verb}{ON}{host}/{process}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_work(name: &str, subject: Subject<'_>) -> VerbAtWork {
        VerbAtWork::new(name, OffsetDateTime::UNIX_EPOCH, subject)
    }

    #[test]
    fn a_verb_at_work_says_where() {
        let name = name_of(Verb::Rebuild, "box/17");
        let said = at_work(&name, Subject::Users).to_string();
        assert!(said.starts_with("`rollcall projection rebuild` is at work on box/17 since 1970"), "{said}");
        let said = at_work(&name, Subject::Projection("sizes")).to_string();
        assert!(
            said.starts_with("`rollcall projection rebuild --projection sizes` is at work on box/17"),
            "{said}"
        );
        let earlier = at_work("rollcall projection verify", Subject::Users).to_string();
        assert!(earlier.starts_with("`rollcall projection verify` is at work since"), "{earlier}");
    }

    #[test]
    fn a_long_host_is_cut_and_the_process_is_not() {
        let name = name_of(Verb::Rollback, &format!("{}/4194304", "h".repeat(80)));
        assert_eq!(name.len(), MAX_NAME);
        assert!(name.ends_with("h/4194304"), "{name}");
    }

    #[test]
    fn the_name_of_a_projection_makes_no_verb_a_rebuild() {
        let subjects = [Subject::Users, Subject::Projection("sizes"), Subject::Projection("rebuild")];
        for (verb, is_rebuild) in
            [(Verb::Rebuild, true), (Verb::Verify, false), (Verb::Promote, false), (Verb::Rollback, false)]
        {
            for subject in subjects {
                let at_work = at_work(&name_of(verb, "box/17"), subject);
                assert_eq!(at_work.is_rebuild(), is_rebuild, "{at_work}");
            }
        }
    }
}
