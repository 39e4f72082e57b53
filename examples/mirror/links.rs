//! Discovers the links of a directory listing, as Apache, nginx, Python and this program write them.
//!
//! Only `href`s of `<a>` elements count. Links with a query (a listing sorted otherwise), to another
//! server, to the parent or to anything else above the place where the mirror began are left alone.

use std::collections::BTreeSet;

use super::place::Place;

/// What the links of one listing lead to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// Links that end with `/`.
    pub(crate) directories: BTreeSet<Place>,
    /// All others.
    pub(crate) files: BTreeSet<Place>,
    /// Names that cannot be names of files here.
    pub(crate) refused: BTreeSet<String>,
}

/// Where a listing was found.
pub(crate) struct Listing<'a> {
    /// `host:port` of the server.
    pub(crate) authority: &'a str,
    /// Where the mirror began.
    pub(crate) base: &'a Place,
    /// The directory that is listed, seen from `base`.
    pub(crate) directory: &'a Place,
}

impl Listing<'_> {
    /// Reads the links out of a page.
    pub(crate) fn links(&self, page: &str) -> Links {
        let mut links = Links::default();
        for href in hrefs(page) {
            let href = unescape(href.trim());
            let Some(path) = self.path_on_this_server(&href) else {
                continue;
            };
            match self.resolve(path) {
                // The directory itself, or one that leads to it.
                Ok(Some(place)) if self.directory.behind(&place).is_some() => {}
                Ok(Some(place)) => {
                    let kind = match is_directory(path) {
                        true => &mut links.directories,
                        false => &mut links.files,
                    };
                    kind.insert(place);
                }
                Ok(None) => {}
                Err(name) => {
                    links.refused.insert(name);
                }
            }
        }
        links
    }

    /// The path of a link, if it leads to a file or a directory of this server.
    fn path_on_this_server<'a>(&self, href: &'a str) -> Option<&'a str> {
        let href = href.split('#').next().unwrap_or_default();
        if href.is_empty() || href.contains('?') {
            return None;
        }
        let rest = match (href.strip_prefix("//"), has_scheme(href)) {
            (Some(rest), _) => rest,
            (None, true) => href.strip_prefix("http://")?,
            (None, false) => return Some(href),
        };
        let path = rest.strip_prefix(self.authority)?;
        path.starts_with('/').then_some(path)
    }

    /// The place behind `base` that a path leads to, or the name that must not become one.
    fn resolve(&self, path: &str) -> Result<Option<Place>, String> {
        if path.starts_with('/') {
            let place = Place::from_url_path(path).map_err(|name| name.0)?;
            return Ok(place.and_then(|place| place.behind(self.base)));
        }
        let mut place = self.directory.clone();
        for name in path.split('/') {
            if !place.follow(name).map_err(|name| name.0)? {
                return Ok(None);
            }
        }
        Ok(Some(place))
    }
}

fn is_directory(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(last, "" | "." | "..")
}

/// Whether a link begins with something like `mailto:`.
fn has_scheme(href: &str) -> bool {
    let Some((scheme, _)) = href.split_once(':') else {
        return false;
    };
    let first = scheme.chars().next().unwrap_or(' ');
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    first.is_ascii_alphabetic() && scheme.chars().all(is_part)
}

/// The values of all `href`s of `<a>` elements.
fn hrefs(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).filter_map(|element| {
        let name_length = element.find(|c: char| c.is_ascii_whitespace())?;
        if !element[..name_length].eq_ignore_ascii_case("a") {
            return None;
        }
        let mut rest = &element[name_length..];
        loop {
            rest = rest.trim_start();
            let end = rest.find(|c: char| c.is_ascii_whitespace() || "=>".contains(c))?;
            let name = &rest[..end];
            rest = rest[end..].trim_start();
            if rest.starts_with('>') {
                return None;
            }
            let Some(after) = rest.strip_prefix('=') else {
                continue;
            };
            let (value, after) = attribute_value(after.trim_start())?;
            if name.eq_ignore_ascii_case("href") {
                return Some(value);
            }
            rest = after;
        }
    })
}

/// Splits text that begins with an attribute's value behind it.
fn attribute_value(text: &str) -> Option<(&str, &str)> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split_once(quote);
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
    Some(text.split_at(end))
}

/// Replaces HTML's character references that occur in links.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out += before;
        let reference = after.split_once(';');
        match reference.and_then(|(name, behind)| Some((character(name)?, behind))) {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::from_url_path(path).unwrap().unwrap()
    }

    fn links(page: &str) -> Links {
        let listing = Listing {
            authority: "host:80",
            base: &place("base"),
            directory: &place("sub"),
        };
        listing.links(page)
    }

    fn found(page: &str) -> (Vec<String>, Vec<String>) {
        let links = links(page);
        let names = |places: BTreeSet<Place>| places.iter().map(Place::to_string).collect();
        (names(links.directories), names(links.files))
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn listings_of_several_servers_are_read() {
        let python =
            r#"<li><a href="a%20b.txt">a b.txt</a></li> <li><a href="%C3%A4/">ä/</a></li>"#;
        assert_eq!(
            found(python),
            (strings(&["sub/ä"]), strings(&["sub/a b.txt"]))
        );
        let nginx = "<a href=\"../\">../</a>\n<a href=\"x%3Fy\">x?y</a>   21-Nov-2026 06:11   5\n";
        assert_eq!(found(nginx), (vec![], strings(&["sub/x?y"])));
        let apache =
            r#"<A HREF="?C=N;O=D">Name</A> <IMG SRC="i.gif"> <a class=x href='a&amp;b'>a</a>"#;
        assert_eq!(found(apache), (vec![], strings(&["sub/a&b"])));
        assert_eq!(found("<a href=plain>"), (vec![], strings(&["sub/plain"])));
    }

    #[test]
    fn only_what_lies_below_the_beginning_counts() {
        let page = r##"
            <a href="/base/other/x">in</a> <a href="http://host:80/base/y">in</a> <a href="//host:80/base/z/">in</a>
            <a href="/elsewhere/x">out</a> <a href="http://other/base/y">out</a> <a href="https://host:80/base/y">out</a>
            <a href="../../x">out</a> <a href="mailto:a@b">out</a> <a href="#top">out</a> <a name="n">none</a>
            <a href="../">parent</a> <a href="./">itself</a> <a href="">itself</a> <a href="%2e%2e">parent</a> <area href="no">"##;
        let expected = (strings(&["z"]), strings(&["other/x", "y"]));
        assert_eq!(found(page), expected);
    }

    #[test]
    fn names_that_would_escape_are_refused() {
        let links =
            links(r#"<a href="..%2f..%2fetc%2fpasswd">x</a> <a href="%2e%2e/%2e%2e/etc">x</a>"#);
        assert_eq!(
            links.refused,
            BTreeSet::from(["../../etc/passwd".to_owned()])
        );
        assert!(links.files.is_empty() && links.directories.is_empty());
    }

    #[test]
    fn broken_pages_do_no_harm() {
        for page in [
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "<",
            "&",
            "<a &#x110000;=>",
        ] {
            assert_eq!(links(page), Links::default(), "{page}");
        }
        assert_eq!(unescape("a&b&#x26;&#38;&bogus;"), "a&b&&&bogus;");
    }
}
