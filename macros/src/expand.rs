//! Checks the function under the attribute and writes the plain function that takes its place.
//!
//! The user's function is kept whole, as an inner `async fn` of the same name: so its return type steers
//! inference inside the body, and the compiler's messages point at the user's own lines. The outer
//! function builds the runtime, blocks on the inner one and drops the runtime.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, ItemFn, Signature};

use crate::args::{self, Arguments, Entry, Mistakes};

/// Expands one attribute.
pub(crate) fn expand(entry: Entry, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let message = format!("{} stands on an `async fn`", entry.attribute());
            let error = Error::new_spanned(&item, message).into_compile_error();
            return quote!(#error #item);
        }
    };
    let (arguments, mistake) = args::parse(entry, arguments);
    let mut mistakes = Mistakes(mistake);
    let repeated = check_attributes(entry, &function.attrs, &mut mistakes);
    let is_sound = check_signature(entry, &function.sig, &mut mistakes);

    let errors = mistakes.0.map(Error::into_compile_error);
    let function = if repeated || !is_sound {
        placeholder(&function)
    } else {
        plain_function(entry, &arguments, &function)
    };
    quote!(#errors #function)
}

/// Whether an attribute that writes its own `main` or test is still to come on the same function.
///
/// Attributes expand from the top down, so the first one sees those below it.
fn check_attributes(entry: Entry, attributes: &[Attribute], mistakes: &mut Mistakes) -> bool {
    let mut found = false;
    for attribute in attributes {
        let Some(last) = attribute.path().segments.last() else {
            continue;
        };
        if last.ident == "main" || last.ident == "test" {
            let message = format!(
                "a second entry attribute: {} already does all that is needed",
                entry.attribute(),
            );
            mistakes.add(last.ident.span(), message);
            found = true;
        }
    }
    found
}

/// Whether the function can be called without arguments and awaited.
fn check_signature(entry: Entry, signature: &Signature, mistakes: &mut Mistakes) -> bool {
    let mut is_sound = true;
    let mut refuse = |span: Span, message: String| {
        mistakes.add(span, message);
        is_sound = false;
    };
    let attribute = entry.attribute();
    if signature.asyncness.is_none() {
        let message = format!("{attribute} stands on an `async fn`: add `async` here");
        refuse(signature.fn_token.span(), message);
    }
    if let Some(constness) = &signature.constness {
        refuse(
            constness.span(),
            format!("{attribute} does not take a `const fn`"),
        );
    }
    if let Some(unsafety) = &signature.unsafety {
        refuse(
            unsafety.span(),
            format!("{attribute} does not take an `unsafe fn`"),
        );
    }
    if let Some(abi) = &signature.abi {
        refuse(
            abi.span(),
            format!("{attribute} does not take an `extern fn`"),
        );
    }
    if !signature.generics.params.is_empty() {
        let message =
            format!("the function under {attribute} cannot be generic: nobody names its types");
        refuse(signature.generics.params.span(), message);
    }
    if let Some(clause) = &signature.generics.where_clause {
        refuse(
            clause.span(),
            format!("the function under {attribute} takes no `where` clause"),
        );
    }
    if !signature.inputs.is_empty() {
        let message =
            format!("the function under {attribute} takes no parameters: nobody passes them");
        refuse(signature.inputs.span(), message);
    }
    is_sound
}

/// The function that takes the place of a sound one.
fn plain_function(entry: Entry, arguments: &Arguments, function: &ItemFn) -> TokenStream {
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function;
    let (name, output) = (&sig.ident, &sig.output);
    let test = (entry == Entry::Test).then(|| quote!(#[::core::prelude::v1::test]));
    let builder = builder(arguments);
    quote_spanned! {Span::mixed_site()=>
        #test
        #(#attrs)*
        #vis fn #name() #output {
            async fn #name() #output #block
            match #builder {
                ::core::result::Result::Ok(runtime) => runtime.block_on(#name()),
                ::core::result::Result::Err(error) => {
                    ::core::panic!("the runtime could not be started: {}", error)
                }
            }
        }
    }
}

/// The expression that builds the runtime.
fn builder(arguments: &Arguments) -> TokenStream {
    let facade = &arguments.facade;
    let start = match arguments.current_thread {
        true => quote!(#facade::Builder::current_thread()),
        false => quote!(#facade::Builder::new()),
    };
    let workers = arguments.workers.as_ref().map(|n| quote!(.workers(#n)));
    let debug = arguments.debug.map(|on| quote!(.debug(#on)));
    let virtual_time = arguments.virtual_time.then(|| quote!(.virtual_time(true)));
    let ctrl_c = arguments.cancel_on_ctrl_c;
    let ctrl_c = ctrl_c.then(|| quote!(.cancel_on_ctrl_c(true)));
    quote!(#start #workers #debug #virtual_time #ctrl_c .build())
}

/// What stands in for a function with a mistake: it can be found and named, so that the mistake is the
/// only thing the compiler reports.
fn placeholder(function: &ItemFn) -> TokenStream {
    let (visibility, name) = (&function.vis, &function.sig.ident);
    quote!(#[allow(dead_code)] #visibility fn #name() {})
}
