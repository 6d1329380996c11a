//! Reports everything that is wrong with a request in one response.

use crate::problem::Problem;

/// Collects problems while the parts of a request are read one by one.
#[derive(Default)]
pub struct ValidationErrors(Option<Problem>);

impl ValidationErrors {
    /// Returns a valid part. Otherwise keeps its problem.
    pub fn check<T>(&mut self, part: Result<T, impl Into<Problem>>) -> Option<T> {
        part.map_err(|problem| self.add(problem.into())).ok()
    }

    /// Keeps a problem. The details of all problems become one list.
    pub fn add(&mut self, problem: Problem) {
        self.0 = Some(match self.0.take() {
            Some(first) => problem.details.into_iter().fold(first, Problem::detail),
            None => problem,
        });
    }

    /// Returns the input, which is complete if there was no problem.
    ///
    /// # Errors
    /// The problems, as one.
    pub fn finish<T>(self, input: Option<T>) -> Result<T, Problem> {
        match (self.0, input) {
            (None, Some(input)) => Ok(input),
            (problem, _) => Err(problem.unwrap_or_else(Problem::internal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Location, MAX_DETAILS};

    fn refused(param: &str) -> Result<u8, Problem> {
        Err(Problem::invalid(None, "Invalid value", param, Location::Query))
    }

    #[test]
    fn all_refusals_are_told_at_once() {
        let mut errors = ValidationErrors::default();
        assert_eq!(errors.check(Ok::<_, Problem>(1)), Some(1));
        assert_eq!(errors.check(refused("limit")), None);
        assert_eq!(errors.check(refused("cursor")), None);
        let problem = errors.finish(None::<u8>).unwrap_err();
        let params: Vec<_> = problem.details.iter().map(|detail| detail.param.as_str()).collect();
        assert_eq!(params, ["limit", "cursor"]);
        assert_eq!(ValidationErrors::default().finish(Some(1)), Ok(1));
    }

    #[test]
    fn a_list_of_refusals_has_an_end() {
        let mut errors = ValidationErrors::default();
        for n in 0..100 {
            assert_eq!(errors.check(refused(&n.to_string())), None);
        }
        let details = errors.finish(None::<u8>).unwrap_err().details;
        assert_eq!((details.len(), &*details[MAX_DETAILS - 1].param), (MAX_DETAILS, "19"));
    }
}
