//! Writes `join!` and `try_join!`: futures side by side in one task, until all are through.
//!
//! Each future is a local that is dropped as soon as it is through, with a local for its output beside it. All that
//! are left are polled whenever the task is: with the few futures that stand in a macro that costs less than
//! finding out which one was woken.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Token};

/// What an output means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// All are awaited.
    Any,
    /// They are results, and the first error ends it.
    Results,
}

/// Expands the macro.
pub(crate) fn expand(outputs: Outputs, input: TokenStream) -> TokenStream {
    let futures = match Punctuated::<Expr, Token![,]>::parse_terminated.parse2(input) {
        Ok(futures) if !futures.is_empty() => futures,
        Ok(_) => {
            let message = "there is nothing to join: give futures, separated by commas";
            return Error::new(Span::call_site(), message).into_compile_error();
        }
        Err(error) => return error.into_compile_error(),
    };
    let mixed = Span::mixed_site();
    let mut locals = Vec::new();
    let mut polls = Vec::new();
    let mut done = Vec::new();
    for (i, future) in futures.iter().enumerate() {
        let name = format_ident!("future{i}", span = mixed);
        let output = format_ident!("output{i}", span = mixed);
        // Our names, the user's place: what the compiler says about a future it says where that stands.
        let here = mixed.located_at(future.span());
        let into = quote_spanned!(here=> ::core::future::IntoFuture::into_future(#future));
        locals.push(quote_spanned! {mixed=>
            let mut #name = ::core::pin::pin!(::core::option::Option::Some(#into));
            let mut #output = ::core::option::Option::None;
        });
        let (pattern, on_error) = match outputs {
            Outputs::Any => (quote_spanned!(here=> value), quote!()),
            Outputs::Results => (
                quote_spanned!(here=> ::core::result::Result::Ok(value)),
                quote_spanned! {here=>
                    ::core::task::Poll::Ready(::core::result::Result::Err(error)) => {
                        return ::core::task::Poll::Ready(::core::result::Result::Err(error));
                    }
                },
            ),
        };
        polls.push(quote_spanned! {here=>
            if let ::core::option::Option::Some(future) = #name.as_mut().as_pin_mut() {
                match ::core::future::Future::poll(future, cx) {
                    ::core::task::Poll::Ready(#pattern) => {
                        #name.set(::core::option::Option::None);
                        #output = ::core::option::Option::Some(value);
                    }
                    #on_error
                    ::core::task::Poll::Pending => is_pending = true,
                }
            }
        });
        done.push(quote_spanned!(mixed=> #output.take().expect("it is through")));
    }
    let all = match outputs {
        Outputs::Any => quote!((#(#done,)*)),
        Outputs::Results => quote!(::core::result::Result::Ok((#(#done,)*))),
    };
    quote_spanned! {mixed=> {
        #(#locals)*
        ::core::future::poll_fn(|cx| {
            let mut is_pending = false;
            #(#polls)*
            if is_pending {
                ::core::task::Poll::Pending
            } else {
                ::core::task::Poll::Ready(#all)
            }
        })
        .await
    }}
}
