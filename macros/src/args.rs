//! What stands in the parentheses of `#[rt::main(…)]` and `#[rt::test(…)]`.
//!
//! Every argument is read even when one before it is wrong, so that all mistakes are reported together.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, Ident, Lit, Path, Token};

/// Which of the two attributes is being expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `#[rt::main]`.
    Main,
    /// `#[rt::test]`.
    Test,
}

impl Entry {
    /// The attribute as the user wrote it, for messages.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Entry::Main => "#[rt::main]",
            Entry::Test => "#[rt::test]",
        }
    }

    fn known_arguments(self) -> &'static str {
        match self {
            Entry::Main => {
                "`workers = N`, `current_thread`, `debug = true`, `cancel_on_ctrl_c`, `crate = \"path\"`"
            }
            Entry::Test => {
                "`workers = N`, `current_thread`, `debug = true`, `virtual_time`, `crate = \"path\"`"
            }
        }
    }
}

/// The arguments, as far as they could be understood.
pub(crate) struct Arguments {
    /// Number of workers: a literal that was checked, or an expression of the user's.
    pub(crate) workers: Option<Expr>,
    /// Everything on the calling thread.
    pub(crate) current_thread: bool,
    /// The value of `debug`, when it was given.
    pub(crate) debug: Option<bool>,
    /// A clock that jumps.
    pub(crate) virtual_time: bool,
    /// Ctrl-C cancels the function.
    pub(crate) cancel_on_ctrl_c: bool,
    /// Where `rt` is found.
    pub(crate) facade: Path,
}

/// One argument: its name, and the value after `=` when there is one.
struct Argument {
    name: Ident,
    value: Option<Expr>,
}

/// Reads all arguments. The second part of the result holds every mistake found.
pub(crate) fn parse(entry: Entry, tokens: TokenStream) -> (Arguments, Option<Error>) {
    let mut arguments = Arguments {
        workers: None,
        current_thread: false,
        debug: None,
        virtual_time: false,
        cancel_on_ctrl_c: false,
        facade: syn::parse_quote!(::rt),
    };
    let list = match read_list.parse2(tokens) {
        Ok(list) => list,
        Err(error) => return (arguments, Some(error)),
    };
    let mut mistakes = Mistakes::default();
    let mut seen: Vec<Ident> = Vec::new();
    for argument in list {
        if seen.contains(&argument.name) {
            let name = argument.name.unraw();
            mistakes.add(argument.name.span(), format!("`{name}` is given twice"));
            continue;
        }
        seen.push(argument.name.clone());
        if let Err(error) = arguments.take(entry, argument) {
            mistakes.push(error);
        }
    }
    arguments.check_together(&seen, &mut mistakes);
    (arguments, mistakes.0)
}

fn read_list(input: ParseStream<'_>) -> syn::Result<Vec<Argument>> {
    let mut list = Vec::new();
    while !input.is_empty() {
        let name = input.call(Ident::parse_any)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        list.push(Argument { name, value });
        if !input.is_empty() && !input.peek(Token![,]) {
            let message =
                "arguments are written `name` or `name = value`, with commas between them";
            return Err(input.error(message));
        }
        input.parse::<Option<Token![,]>>()?;
    }
    Ok(list)
}

impl Arguments {
    fn take(&mut self, entry: Entry, argument: Argument) -> syn::Result<()> {
        let Argument { name, value } = argument;
        match name.to_string().as_str() {
            "workers" => self.workers = Some(workers(&name, value)?),
            "debug" => self.debug = Some(debug(&name, value)?),
            "crate" => self.facade = facade(&name, value)?,
            "current_thread" => {
                flag(&name, value)?;
                self.current_thread = true;
            }
            "virtual_time" if entry == Entry::Test => {
                flag(&name, value)?;
                self.virtual_time = true;
            }
            "virtual_time" => {
                let message =
                    "`virtual_time` is for `#[rt::test]`; a program has to live in real time";
                return Err(Error::new(name.span(), message));
            }
            "cancel_on_ctrl_c" if entry == Entry::Main => {
                flag(&name, value)?;
                self.cancel_on_ctrl_c = true;
            }
            "cancel_on_ctrl_c" => {
                let message = "`cancel_on_ctrl_c` is for `#[rt::main]`: Ctrl-C ends tests at once";
                return Err(Error::new(name.span(), message));
            }
            unknown => {
                let message = format!(
                    "unknown argument `{unknown}`; {} takes {}",
                    entry.attribute(),
                    entry.known_arguments(),
                );
                return Err(Error::new(name.span(), message));
            }
        }
        Ok(())
    }

    /// Mistakes that lie in the combination. `current_thread` wins for the rest of the expansion.
    fn check_together(&mut self, seen: &[Ident], mistakes: &mut Mistakes) {
        let flag = seen.iter().any(|name| name == "current_thread");
        if let (true, Some(workers)) = (flag, seen.iter().find(|name| *name == "workers")) {
            let message = "`workers` and `current_thread` exclude each other: \
                           a current-thread runtime has no workers";
            mistakes.add(workers.span(), message);
            self.workers = None;
        }
    }
}

/// Reads the value of `workers`: an integer above zero, or an expression that is left to the compiler.
fn workers(name: &Ident, value: Option<Expr>) -> syn::Result<Expr> {
    let Some(value) = value else {
        return Err(Error::new(
            name.span(),
            "`workers` needs a value: `workers = 4`",
        ));
    };
    match literal(&value) {
        None => Ok(value),
        Some(Lit::Int(number)) => match number.base10_parse::<usize>()? {
            0 => Err(Error::new(number.span(), "`workers` must be at least 1")),
            _ => Ok(value),
        },
        Some(other) => Err(Error::new(
            other.span(),
            "`workers` is a number of threads, such as `workers = 4`",
        )),
    }
}

/// Reads the value of `debug`: `true` or `false`.
fn debug(name: &Ident, value: Option<Expr>) -> syn::Result<bool> {
    match value.as_ref().and_then(literal) {
        Some(Lit::Bool(value)) => Ok(value.value),
        Some(other) => Err(Error::new(other.span(), "`debug` is `true` or `false`")),
        None => Err(Error::new(
            name.span(),
            "`debug` needs a value: `debug = true`",
        )),
    }
}

/// Reads the value of `crate`: a path in a string.
fn facade(name: &Ident, value: Option<Expr>) -> syn::Result<Path> {
    match value.as_ref().and_then(literal) {
        Some(Lit::Str(path)) => path
            .parse_with(Path::parse_mod_style)
            .map_err(|_| Error::new(path.span(), "`crate` is the path of `rt` in a string")),
        _ => Err(Error::new(
            name.span(),
            "`crate` needs a path in a string: `crate = \"my_rt\"`",
        )),
    }
}

/// Checks that an argument which is a mere flag has no value.
fn flag(name: &Ident, value: Option<Expr>) -> syn::Result<()> {
    match value {
        None => Ok(()),
        Some(_) => Err(Error::new(
            name.span(),
            format!("`{name}` takes no value: write `{name}` alone"),
        )),
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        _ => None,
    }
}

/// The mistakes found so far, as one error with a message for each.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Option<Error>);

impl Mistakes {
    pub(crate) fn add(&mut self, span: Span, message: impl Into<String>) {
        self.push(Error::new(span, message.into()));
    }

    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }
}
