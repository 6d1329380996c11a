//! Everything that is wrong with a request, in one answer.

use service_kit::problem::Problem;

/// Gathers what was refused while the parts of a request are read one by one.
#[derive(Default)]
pub(crate) struct Refusals(Option<Problem>);

impl Refusals {
    /// The part, if it is good; else its problem is kept.
    pub(crate) fn sift<T>(&mut self, part: Result<T, Problem>) -> Option<T> {
        part.map_err(|problem| self.add(problem)).ok()
    }

    /// Keeps a problem; the details of all become one list.
    pub(crate) fn add(&mut self, problem: Problem) {
        match &mut self.0 {
            Some(first) => first.details.extend(problem.details),
            None => self.0 = Some(problem),
        }
    }

    /// The input, whose parts are all there if nothing was refused.
    pub(crate) fn finish<T>(self, input: Option<T>) -> Result<T, Problem> {
        match (self.0, input) {
            (None, Some(input)) => Ok(input),
            (problem, _) => Err(problem.unwrap_or_else(Problem::internal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::problem::Location;

    #[test]
    fn all_refusals_are_told_at_once() {
        let refused =
            |param: &str| Err::<u8, _>(Problem::invalid(None, "Invalid value", param, Location::Query));
        let mut refusals = Refusals::default();
        assert_eq!(refusals.sift(Ok(1)), Some(1));
        assert_eq!(refusals.sift(refused("limit")), None);
        assert_eq!(refusals.sift(refused("cursor")), None);
        let problem = refusals.finish(None::<u8>).unwrap_err();
        let params: Vec<_> = problem.details.iter().map(|detail| detail.param.as_str()).collect();
        assert_eq!(params, ["limit", "cursor"]);
        assert_eq!(Refusals::default().finish(Some(1)), Ok(1));
    }
}
