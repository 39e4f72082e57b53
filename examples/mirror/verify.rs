//! Compares the tree with its mirror, byte by byte, after all is done.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::problem::Problem;
use super::site::Site;

/// How many differences are named.
const NAMED: usize = 5;

/// Compares every file that is served with its copy below `copy`, and counts them.
pub(crate) fn compare(site: &Site, copy: &Path) -> Result<u64, Problem> {
    let mut n_equal = 0;
    let mut differences = Vec::new();
    let walked = site.walk(&mut |path| {
        match are_equal(&site.root().join(path), &copy.join(path)) {
            Ok(true) => n_equal += 1,
            Ok(false) => differences.push(format!("{} differs", path.display())),
            Err(error) => differences.push(format!("{}: {error}", path.display())),
        }
        Ok(())
    });
    walked.map_err(|error| Problem::with("verify", site.root().display(), &error))?;
    match differences.len() {
        0 => Ok(n_equal),
        n => {
            differences.truncate(NAMED);
            let what = format!(
                "{n} files differ from their originals: {}",
                differences.join("; ")
            );
            let advice = "if nobody changes them meanwhile, run the same command again";
            Err(Problem::new(what, advice))
        }
    }
}

fn are_equal(a: &Path, b: &Path) -> io::Result<bool> {
    let (a, b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    loop {
        let (x, y) = (a.fill_buf()?, b.fill_buf()?);
        let n = x.len().min(y.len());
        if n == 0 {
            return Ok(x.is_empty() && y.is_empty());
        }
        if x[..n] != y[..n] {
            return Ok(false);
        }
        a.consume(n);
        b.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_difference_is_found() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("sub")).unwrap();
        fs::create_dir(to.path().join("sub")).unwrap();
        for (name, ours, theirs) in [("a", "one", "one"), ("sub/b", "two", "tow")] {
            fs::write(from.path().join(name), ours).unwrap();
            fs::write(to.path().join(name), theirs).unwrap();
        }
        let site = Site::open(from.path()).unwrap();
        let problem = compare(&site, to.path()).unwrap_err().to_string();
        assert!(problem.contains("sub/b differs"), "{problem}");
        fs::write(to.path().join("sub/b"), "two").unwrap();
        assert_eq!(compare(&site, to.path()).unwrap(), 2);
    }
}
