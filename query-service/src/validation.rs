//! Reports everything that is wrong with a request in one response.

use service_kit::problem::Problem;

/// Collects problems while the parts of a request are read one by one.
#[derive(Default)]
pub(crate) struct ValidationErrors(Option<Problem>);

impl ValidationErrors {
    /// Returns a valid part. Otherwise keeps its problem.
    pub(crate) fn check<T>(&mut self, part: Result<T, Problem>) -> Option<T> {
        part.map_err(|problem| self.add(problem)).ok()
    }

    /// Keeps a problem. The details of all problems become one list.
    pub(crate) fn add(&mut self, problem: Problem) {
        match &mut self.0 {
            Some(first) => first.details.extend(problem.details),
            None => self.0 = Some(problem),
        }
    }

    /// Returns the input, which is complete if there was no problem.
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
        let mut errors = ValidationErrors::default();
        assert_eq!(errors.check(Ok(1)), Some(1));
        assert_eq!(errors.check(refused("limit")), None);
        assert_eq!(errors.check(refused("cursor")), None);
        let problem = errors.finish(None::<u8>).unwrap_err();
        let params: Vec<_> = problem.details.iter().map(|detail| detail.param.as_str()).collect();
        assert_eq!(params, ["limit", "cursor"]);
        assert_eq!(ValidationErrors::default().finish(Some(1)), Ok(1));
    }
}
