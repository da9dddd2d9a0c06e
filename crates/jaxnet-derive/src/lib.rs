//! The `Tree` derive of JAXnet; use it through `jaxnet_tensor::Tree`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Code;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Index, Result, parse_macro_input, parse_quote};

/// Implements `Tree` for a struct or an enum, field by field.
///
/// `#[tree(static)]` on a field makes it part of the structure instead of a child; its type must then be
/// `Clone + Eq + Hash + Debug + Send + Sync + 'static`. Type parameters of the other fields must be trees.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(mut input: DeriveInput) -> Result<Code> {
    let name = input.ident.clone();
    let kind = name.to_string();
    let (flatten, unflatten) = match &input.data {
        Data::Struct(data) => {
            let fields = read(&data.fields)?;
            let bindings = fields.iter().map(|field| &field.binding);
            let patterns = fields.iter().map(|field| &field.member);
            let (flatten, unflatten) = (flatten(&kind, &fields), unflatten(&quote!(Self), &kind, &fields));
            (quote!(let Self { #(#patterns: #bindings),* } = self; #flatten), unflatten)
        }
        Data::Enum(data) => {
            let mut to = Vec::new();
            let mut from = Vec::new();
            for variant in &data.variants {
                let (ident, fields) = (&variant.ident, read(&variant.fields)?);
                let kind = format!("{kind}::{ident}");
                let bindings = fields.iter().map(|field| &field.binding);
                let patterns = fields.iter().map(|field| &field.member);
                let flatten = flatten(&kind, &fields);
                to.push(quote!(Self::#ident { #(#patterns: #bindings),* } => { #flatten }));
                let name = ident.to_string();
                let unflatten = unflatten(&quote!(Self::#ident), &kind, &fields);
                from.push(quote!(#name => { #unflatten }));
            }
            // The name of the variant goes first, as something fixed.
            let names = data.variants.iter().map(|variant| {
                let (ident, name) = (&variant.ident, variant.ident.to_string());
                quote!(Self::#ident { .. } => #name)
            });
            let flatten = quote! {
                to.node(#kind, 2);
                to.fixed(&::std::string::String::from(match self { #(#names),* }));
                match self { #(#to),* }
            };
            let unflatten = quote! {
                from.node_of(#kind, 2)?;
                match from.fixed::<::std::string::String>()?.as_str() {
                    #(#from)*
                    other => ::core::result::Result::Err(::jaxnet_tensor::Error::tree(
                        "", ::std::format!("{} has no variant {other}", #kind),
                    )),
                }
            };
            (flatten, unflatten)
        }
        Data::Union(data) => return Err(Error::new(data.union_token.span, "a union cannot be a tree")),
    };
    add_bounds(&mut input)?;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::jaxnet_tensor::Tree for #name #type_generics #where_clause {
            fn flatten(&self, to: &mut ::jaxnet_tensor::tree::Flattener) {
                #flatten
            }
            fn unflatten(from: &mut ::jaxnet_tensor::tree::Unflattener<'_>) -> ::jaxnet_tensor::Result<Self> {
                #unflatten
            }
        }
    })
}

/// A field: how it is named in patterns, the variable that it is bound to, and what it is.
struct Read {
    member: Code,
    binding: syn::Ident,
    label: Option<String>,
    fixed: bool,
}

fn read(fields: &Fields) -> Result<Vec<Read>> {
    fields
        .iter()
        .enumerate()
        .map(|(i, field)| {
            let index = Index::from(i);
            Ok(Read {
                member: field.ident.as_ref().map_or(quote!(#index), |ident| quote!(#ident)),
                binding: format_ident!("field_{i}"),
                label: field.ident.as_ref().map(|ident| ident.to_string()),
                fixed: is_static(field)?,
            })
        })
        .collect()
}

fn is_static(field: &Field) -> Result<bool> {
    let mut found = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("tree")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("static") {
                found = true;
                return Ok(());
            }
            Err(meta.error("the only attribute is `#[tree(static)]`"))
        })?;
    }
    Ok(found)
}

fn flatten(kind: &str, fields: &[Read]) -> Code {
    let children = fields.iter().enumerate().map(|(i, field)| {
        let binding = &field.binding;
        match (&field.label, field.fixed) {
            (_, true) => quote!(to.fixed(#binding);),
            (Some(label), false) => quote!(to.field(#label, #binding);),
            (None, false) => quote!(to.element(#i, #binding);),
        }
    });
    let len = fields.len();
    quote!(to.node(#kind, #len); #(#children)*)
}

fn unflatten(constructor: &Code, kind: &str, fields: &[Read]) -> Code {
    let children = fields.iter().enumerate().map(|(i, field)| {
        let member = &field.member;
        let value = match (&field.label, field.fixed) {
            (_, true) => quote!(from.fixed()?),
            (Some(label), false) => quote!(from.field(#label)?),
            (None, false) => quote!(from.element(#i)?),
        };
        quote!(#member: #value)
    });
    let len = fields.len();
    quote! {
        from.node_of(#kind, #len)?;
        ::core::result::Result::Ok(#constructor { #(#children),* })
    }
}

/// Field types that mention a type parameter must be trees, or fit to be static.
fn add_bounds(input: &mut DeriveInput) -> Result<()> {
    let parameters: Vec<String> = input.generics.type_params().map(|parameter| parameter.ident.to_string()).collect();
    if parameters.is_empty() {
        return Ok(());
    }
    let all_fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let mut predicates: Vec<syn::WherePredicate> = Vec::new();
    for field in all_fields {
        let ty = &field.ty;
        if !mentions(&quote!(#ty), &parameters) {
            continue;
        }
        predicates.push(if is_static(field)? {
            parse_quote! {
                #ty: ::core::clone::Clone + ::core::cmp::Eq + ::core::hash::Hash + ::core::fmt::Debug
                    + ::core::marker::Send + ::core::marker::Sync + 'static
            }
        } else {
            parse_quote!(#ty: ::jaxnet_tensor::Tree)
        });
    }
    input.generics.make_where_clause().predicates.extend(predicates);
    Ok(())
}

fn mentions(code: &Code, parameters: &[String]) -> bool {
    code.clone().into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => parameters.iter().any(|parameter| ident == parameter),
        proc_macro2::TokenTree::Group(group) => mentions(&group.stream(), parameters),
        _ => false,
    })
}
