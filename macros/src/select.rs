//! Writes `select!`: the first of several futures whose output fits its pattern, and then its handler.
//!
//! The futures are locals of an inner block, which ends before the handler runs: a handler may use again what
//! the futures borrowed. So whether an output fits is found out by a look at it, inside the block; outside, the
//! pattern takes it apart.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Error, Expr, Pat, Result, Token};

mod keyword {
    syn::custom_keyword!(biased);
}

/// What stands in the macro, after the path of the crate that the wrapper of the macro puts first.
struct Select {
    root: TokenStream,
    is_biased: bool,
    branches: Vec<Branch>,
    on_else: Option<Expr>,
}

/// `pattern = future, if condition => handler`
struct Branch {
    pattern: Pat,
    future: Expr,
    condition: Option<Expr>,
    handler: Expr,
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let root;
        syn::parenthesized!(root in input);
        let mut select = Self {
            root: root.parse()?,
            is_biased: input.peek(keyword::biased) && input.peek2(Token![;]),
            branches: Vec::new(),
            on_else: None,
        };
        if select.is_biased {
            input.parse::<keyword::biased>()?;
            input.parse::<Token![;]>()?;
        }
        while !input.is_empty() {
            if input.peek(Token![else]) {
                let place = input.parse::<Token![else]>()?.span;
                select.on_else = Some(parse_handler(input)?);
                if !input.is_empty() {
                    return Err(Error::new(place, "`else` is the last branch"));
                }
            } else {
                select.branches.push(input.parse()?);
            }
        }
        if select.branches.is_empty() {
            let message = "there is nothing to wait for: write `pattern = future => handler`";
            return Err(Error::new(Span::call_site(), message));
        }
        Ok(select)
    }
}

impl Parse for Branch {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        input.parse::<Token![=]>()?;
        let future = input.parse()?;
        let condition = if input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            input.parse::<Token![if]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        Ok(Self {
            pattern,
            future,
            condition,
            handler: parse_handler(input)?,
        })
    }
}

/// `=> handler`, and the comma that ends it, as in a `match`.
fn parse_handler(input: ParseStream<'_>) -> Result<Expr> {
    input.parse::<Token![=>]>()?;
    let handler = Expr::parse_with_earlier_boundary_rule(input)?;
    let ends_itself = matches!(
        handler,
        Expr::Block(_)
            | Expr::If(_)
            | Expr::Match(_)
            | Expr::Loop(_)
            | Expr::While(_)
            | Expr::ForLoop(_)
            | Expr::Unsafe(_)
    );
    if input.peek(Token![,]) || !(ends_itself || input.is_empty()) {
        input.parse::<Token![,]>()?;
    }
    Ok(handler)
}

/// Turns a pattern into one that only looks, for a match by reference.
struct Look;

impl VisitMut for Look {
    fn visit_pat_mut(&mut self, pattern: &mut Pat) {
        while let Pat::Reference(reference) = pattern {
            *pattern = (*reference.pat).clone();
        }
        visit_mut::visit_pat_mut(self, pattern);
    }

    fn visit_pat_ident_mut(&mut self, pattern: &mut syn::PatIdent) {
        pattern.by_ref = None;
        pattern.mutability = None;
        visit_mut::visit_pat_ident_mut(self, pattern);
    }
}

/// Whether it is plain to see that a pattern fits everything.
fn fits_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        // A name with a capital may be that of a constant.
        Pat::Ident(name) => {
            let text = name.ident.to_string();
            name.subpat.is_none() && !text.starts_with(char::is_uppercase)
        }
        Pat::Tuple(tuple) => tuple.elems.iter().all(fits_all),
        _ => false,
    }
}

impl Branch {
    /// Our names, the user's place: what the compiler says about a future it says where that stands.
    fn here(&self) -> Span {
        Span::mixed_site().located_at(self.future.span())
    }

    /// The local with the future, if it is not disabled.
    fn local(&self, name: &syn::Ident) -> TokenStream {
        let future = &self.future;
        let here = self.here();
        let into = quote_spanned!(here=> ::core::future::IntoFuture::into_future(#future));
        let some = quote_spanned!(here=> ::core::option::Option::Some(#into));
        let some = match &self.condition {
            None => some,
            Some(condition) => quote_spanned! {here=>
                if #condition { #some } else { ::core::option::Option::None }
            },
        };
        quote_spanned!(here=> let mut #name = ::core::pin::pin!(#some);)
    }

    /// Polls the future, and leaves the closure if its output fits.
    fn poll(&self, name: &syn::Ident, variant: &syn::Ident) -> TokenStream {
        let here = self.here();
        let fits = if fits_all(&self.pattern) {
            quote!(true)
        } else {
            let mut pattern = self.pattern.clone();
            Look.visit_pat_mut(&mut pattern);
            quote_spanned! {here=>
                match &output { #pattern => true, _ => false }
            }
        };
        quote_spanned! {here=>
            if let ::core::option::Option::Some(future) = #name.as_mut().as_pin_mut() {
                match ::core::future::Future::poll(future, cx) {
                    ::core::task::Poll::Pending => is_waiting = true,
                    ::core::task::Poll::Ready(output) => {
                        #[allow(unused_variables, unreachable_patterns)]
                        let fits = #fits;
                        if fits {
                            return ::core::task::Poll::Ready(__RtSelected::#variant(output));
                        }
                        #name.set(::core::option::Option::None);
                    }
                }
            }
        }
    }
}

/// Expands the macro.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match syn::parse2::<Select>(input) {
        Ok(select) => select.expand(),
        Err(error) => error.into_compile_error(),
    }
}

impl Select {
    fn expand(&self) -> TokenStream {
        let mixed = Span::mixed_site();
        let count = 0..self.branches.len();
        let names: Vec<_> = count
            .clone()
            .map(|i| format_ident!("future{i}", span = mixed))
            .collect();
        let variants: Vec<_> = count
            .map(|i| format_ident!("Branch{i}", span = mixed))
            .collect();
        let numbered = || self.branches.iter().zip(&names).zip(&variants);
        let locals = numbered().map(|((branch, name), _)| branch.local(name));
        let polls: Vec<_> = numbered()
            .map(|((branch, name), variant)| branch.poll(name, variant))
            .collect();
        let polls = self.in_order(&polls);
        let arms = numbered().map(|((branch, _), variant)| {
            let (pattern, handler) = (&branch.pattern, &branch.handler);
            quote_spanned!(mixed=> __RtSelected::#variant(#pattern) => #handler,)
        });
        let on_else = match &self.on_else {
            Some(handler) => quote!(#handler),
            None => quote_spanned! {mixed=>
                ::core::panic!("every branch of rt::select! is disabled, and there is no `else`")
            },
        };
        let root = &self.root;
        quote_spanned! {mixed=> {
            enum __RtSelected<#(#variants),*> {
                #(#variants(#variants),)*
                Nothing,
            }
            let selected = {
                #(#locals)*
                ::core::future::poll_fn(|cx| {
                    if #root::__private::poll_proceed(cx).is_pending() {
                        return ::core::task::Poll::Pending;
                    }
                    let mut is_waiting = false;
                    #polls
                    if is_waiting {
                        #root::__private::restore();
                        ::core::task::Poll::Pending
                    } else {
                        ::core::task::Poll::Ready(__RtSelected::Nothing)
                    }
                })
                .await
            };
            match selected {
                #(#arms)*
                __RtSelected::Nothing => #on_else,
                #[allow(unreachable_patterns)]
                _ => ::core::unreachable!(),
            }
        }}
    }

    /// The polls, one after the other: from the first, or from one that chance picks.
    fn in_order(&self, polls: &[TokenStream]) -> TokenStream {
        let mixed = Span::mixed_site();
        if self.is_biased || polls.len() == 1 {
            return quote!(#(#polls)*);
        }
        let n_branches = polls.len();
        let numbers = 0..n_branches;
        let root = &self.root;
        quote_spanned! {mixed=>
            let first = #root::__private::random_below(#n_branches);
            for step in 0..#n_branches {
                match (first + step) % #n_branches {
                    #(#numbers => { #polls })*
                    _ => ::core::unreachable!(),
                }
            }
        }
    }
}
