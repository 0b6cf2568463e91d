//! Lists of cores as people and the kernel write them: `0,2-5`.

use std::fmt;
use std::str::FromStr;

/// Highest core number accepted: the size of the kernel's usual affinity mask, less one.
const CORE_MAX: usize = 1023;

/// Distinct cores in the order given; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoreList(Vec<usize>);

impl CoreList {
    /// The cores.
    pub(crate) fn cores(&self) -> &[usize] {
        &self.0
    }
}

/// Why a text is no list of cores, as the end of a sentence that begins with the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListError(String);

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CoreList {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let cores = parse_list(text)?;
        let twice = cores.iter().enumerate().find(|(index, core)| cores[..*index].contains(core));
        if let Some((_, core)) = twice {
            return Err(ListError(format!("names core {core} twice")));
        }
        Ok(Self(cores))
    }
}

/// Cores in the order given, with runs of ascending neighbours as ranges.
pub(super) fn written(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|core, next| core + 1 == *next);
    let runs: Vec<String> = runs
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            run => run.iter().map(usize::to_string).collect(),
        })
        .collect();
    runs.join(",")
}

/// Reads numbers and ranges with commas between them.
pub(super) fn parse_list(text: &str) -> Result<Vec<usize>, ListError> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(core) if core <= CORE_MAX => Ok(core),
        Ok(_) => Err(ListError(format!("has a core above {CORE_MAX}"))),
        Err(_) => Err(ListError("is not a list of cores".to_owned())),
    };
    let mut cores = Vec::new();
    for piece in text.split(',') {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(ListError(format!("has the range {first}-{last}, which goes backwards")));
        }
        // The kernel's own lists may be long; both ends are bounded.
        cores.extend(first..=last);
        if cores.len() > CORE_MAX + 1 {
            return Err(ListError("is too long".to_owned()));
        }
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_written_as_ranges() {
        assert_eq!(written(&[0, 1, 2, 5, 4, 0]), "0-2,5,4,0");
        assert_eq!(written(&[]), "");
    }

    #[test]
    fn numbers_and_ranges_are_read_in_order() {
        let cores = |text: &str| text.parse::<CoreList>().map(|list| list.0).map_err(|error| error.0);
        assert_eq!(cores("0"), Ok(vec![0]));
        assert_eq!(cores("4,0-2, 7"), Ok(vec![4, 0, 1, 2, 7]));
        assert_eq!(cores(""), Err("is not a list of cores".to_owned()));
        assert_eq!(cores("1,"), Err("is not a list of cores".to_owned()));
        assert_eq!(cores("-1"), Err("is not a list of cores".to_owned()));
        assert_eq!(cores("3-1"), Err("has the range 3-1, which goes backwards".to_owned()));
        assert_eq!(cores("0-2,1"), Err("names core 1 twice".to_owned()));
        assert_eq!(cores("1024"), Err("has a core above 1023".to_owned()));
        assert_eq!(cores("0-1023,0-1023"), Err("is too long".to_owned()));
    }
}
