//! The attributes that a method and its arguments may carry.

use super::{
    auth,
    parse::{Argument, Method},
};
use crate::errors::Errors;
use monolift_manifest::{nearest, quantity};
use proc_macro2::Span;
use std::{collections::HashMap, time::Duration};
use syn::{
    Attribute, Ident, Lit, LitStr, Token, TraitItemFn,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

const OURS: [&str; 7] = ["http", "idempotent", "deadline", "limit", "errors", "local", "auth"];
/// The attribute of an argument that an older module can do without.
const MAY_BE_IGNORED: &str = "may_be_ignored";
/// The highest `#[limit]`: as many calls as a process ever runs at once.
const HIGHEST_LIMIT: u32 = 1 << 20;
/// What the compiler knows, and means the same in a trait as anywhere.
const PASSED_ON: [&str; 8] =
    ["doc", "allow", "expect", "warn", "deny", "forbid", "deprecated", "must_use"];
const VERBS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What a method's attributes say.
#[derive(Default)]
pub(super) struct MethodAttributes {
    pub(super) docs: String,
    pub(super) idempotent: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) limit: Option<u32>,
    pub(super) http: Option<Http>,
    /// The variants of the error that the method gives.
    pub(super) gives: Option<Vec<Ident>>,
    /// Whether the method takes its caller's transaction.
    pub(super) local: bool,
    /// Who may call it.
    pub(super) auth: Vec<auth::Grant>,
}

/// `#[http(POST, "/orders", body = order, created = "/orders/{id}", idempotency_key)]`.
pub(super) struct Http {
    pub(super) verb: Ident,
    pub(super) path: LitStr,
    pub(super) body: Option<Ident>,
    pub(super) created: Option<LitStr>,
    pub(super) idempotency_key: bool,
}

impl Parse for Http {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let verb: Ident = input.parse()?;
        if !VERBS.contains(&verb.to_string().as_str()) {
            let help = nearest(&verb.to_string().to_uppercase(), VERBS)
                .map_or_else(String::new, |verb| format!(", perhaps `{verb}`"));
            return Err(syn::Error::new(
                verb.span(),
                format!("write one of {}{help}", VERBS.join(", ")),
            ));
        }
        input.parse::<Token![,]>()?;
        let path: LitStr = input.parse()?;
        let (mut body, mut created, mut idempotency_key) = (None, None, false);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            let name = key.to_string();
            let twice = match name.as_str() {
                "body" => {
                    input.parse::<Token![=]>()?;
                    body.replace(input.parse()?).is_some()
                }
                "created" => {
                    input.parse::<Token![=]>()?;
                    created.replace(input.parse()?).is_some()
                }
                "idempotency_key" => std::mem::replace(&mut idempotency_key, true),
                _ => {
                    let known = "write `body = argument`, `created = \"/path/{field}\"` or \
                                 `idempotency_key`";
                    return Err(syn::Error::new(key.span(), known));
                }
            };
            if twice {
                return Err(syn::Error::new(key.span(), format!("`{name}` stands here twice")));
            }
        }
        Ok(Self { verb, path, body, created, idempotency_key })
    }
}

impl Http {
    /// The names in the path, or what is wrong with it.
    pub(super) fn path_names(&self) -> Result<Vec<String>, String> {
        names_in(&self.path.value())
    }

    /// The path with its names taken out: two routes with the same shape are the same route.
    fn shape(&self) -> String {
        let path = self.path.value();
        let plain =
            |segment: &str| if segment.starts_with('{') { "{}".into() } else { segment.to_owned() };
        format!("{} {}", self.verb, path.split('/').map(plain).collect::<Vec<_>>().join("/"))
    }
}

fn names_in(path: &str) -> Result<Vec<String>, String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("a path begins with `/`".to_owned());
    };
    let mut names = Vec::new();
    for segment in rest.split('/') {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) if is_name(name) => {
                if names.iter().any(|known| known == name) {
                    return Err(format!("`{{{name}}}` stands twice in this path"));
                }
                names.push(name.to_owned());
            }
            None if !segment.contains(['{', '}', '?', '#', ' ', '*', ':']) => {}
            _ => {
                return Err(format!(
                    "`{segment}` is no segment of a path: write plain text, or `{{argument}}`"
                ));
            }
        }
    }
    Ok(names)
}

/// Whether an argument can be called so, words of the language included: `r#type` is `type` here.
fn is_name(text: &str) -> bool {
    let starts = |first: char| first == '_' || first.is_alphabetic();
    text.starts_with(starts) && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

impl MethodAttributes {
    /// Checks that the route names arguments that there are.
    pub(super) fn check_against(&self, arguments: &[Argument], errors: &mut Errors) {
        let Some(http) = &self.http else { return };
        let known: Vec<String> =
            arguments.iter().map(|argument| argument.name.unraw().to_string()).collect();
        let mut check = |name: &str, span: Span| {
            if !known.iter().any(|known| known == name) {
                let help = nearest(name, known.iter().map(String::as_str))
                    .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
                errors.at_span(span, format!("the method has no argument `{name}`{help}"));
            }
        };
        let names = match http.path_names() {
            Ok(names) => names,
            Err(message) => return errors.at(&http.path, message),
        };
        for name in &names {
            check(name, http.path.span());
        }
        if let Some(body) = &http.body {
            check(&body.unraw().to_string(), body.span());
            if names.iter().any(|name| body.unraw() == name) {
                errors.at(body, format!("`{body}` stands in the path already"));
            }
            if matches!(http.verb.to_string().as_str(), "GET" | "DELETE") {
                errors.at(body, format!("a {} has no body", http.verb));
            }
        }
        if let Some(created) = &http.created {
            if http.verb != "POST" {
                errors
                    .at(created, format!("a {} makes nothing: `created` is for a POST", http.verb));
            }
            if let Err(message) = names_in(&created.value()) {
                errors.at(created, message);
            }
        }
        if http.idempotency_key && matches!(http.verb.to_string().as_str(), "GET" | "DELETE") {
            let message =
                format!("a {} may always be repeated: it needs no idempotency key", http.verb);
            errors.at(&http.verb, message);
        }
    }
}

/// Takes our attributes off a method. `None` only beside an error.
pub(super) fn take(function: &mut TraitItemFn, errors: &mut Errors) -> Option<MethodAttributes> {
    let mut found = MethodAttributes { docs: docs(&function.attrs), ..Default::default() };
    let mut seen: Vec<String> = Vec::new();
    let mut fine = true;
    function.attrs.retain(|attribute| {
        let path = attribute.path();
        let name = path.get_ident().map_or_else(
            || path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>().join("::"),
            Ident::to_string,
        );
        if PASSED_ON.contains(&name.as_str()) {
            return true;
        }
        if seen.contains(&name) && name != "auth" {
            errors.at(attribute, format!("`#[{name}]` stands here twice"));
        }
        let read = match name.as_str() {
            "idempotent" => attribute.meta.require_path_only().map(|_| found.idempotent = true),
            "deadline" => deadline(attribute).map(|deadline| found.deadline = Some(deadline)),
            "limit" => limit(attribute).map(|limit| found.limit = Some(limit)),
            "errors" => variants(attribute).map(|gives| found.gives = Some(gives)),
            "local" => attribute.meta.require_path_only().map(|_| found.local = true),
            "auth" => auth::read(attribute).map(|grant| found.auth.push(grant)),
            "http" => attribute.parse_args::<Http>().map(|http| found.http = Some(http)),
            unknown => Err(unknown_attribute(attribute, unknown)),
        };
        fine &= errors.keep(read).is_some();
        seen.push(name);
        false
    });
    fine.then_some(found)
}

fn unknown_attribute(attribute: &Attribute, name: &str) -> syn::Error {
    let last = name.rsplit("::").next().unwrap_or(name);
    let help = match nearest(last, OURS) {
        _ if last == MAY_BE_IGNORED => {
            "it stands before an argument of the method: `#[may_be_ignored] language: Option<String>`"
                .to_owned()
        }
        Some(near) => format!("did you mean `#[{near}]`?"),
        None => "a method of an interface takes `#[http(GET, \"/path\")]`, `#[idempotent]`, \
                 `#[deadline(\"30s\")]`, `#[limit(4)]`, `#[errors(Variant)]`, `#[auth(user)]` \
                 and `#[local]`"
            .to_owned(),
    };
    syn::Error::new(attribute.path().span(), format!("unknown attribute `{name}`: {help}"))
}

/// `#[errors(Unknown, SoldOut)]`, or `#[errors()]` for a method that gives none of its own.
fn variants(attribute: &Attribute) -> syn::Result<Vec<Ident>> {
    let named = attribute.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated)?;
    Ok(named.into_iter().collect())
}

fn deadline(attribute: &Attribute) -> syn::Result<Duration> {
    let text: LitStr = attribute.parse_args()?;
    quantity::duration(&text.value()).map_err(|error| {
        syn::Error::new(text.span(), format!("{error}: write `#[deadline(\"30s\")]`"))
    })
}

/// What an argument's attributes say.
#[derive(Default)]
pub(super) struct ArgumentAttributes {
    /// `#[serde(default)]`, for an argument that older callers do not send.
    pub(super) serde: Vec<Attribute>,
    /// `#[schemars(range(max = 100))]` and its like, for its schema.
    pub(super) schemars: Vec<Attribute>,
    /// `#[may_be_ignored]`, for an argument that an older module can do without.
    pub(super) may_be_ignored: bool,
}

fn limit(attribute: &Attribute) -> syn::Result<u32> {
    let expected = format!(
        "expected how many calls of this method may run at once in a process, a number from 1 to \
         {HIGHEST_LIMIT}: write `#[limit(4)]`"
    );
    let literal: Lit = attribute.parse_args()?;
    let number = match &literal {
        Lit::Int(number) => number.base10_parse::<u32>().ok(),
        _ => None,
    };
    let fits = number.filter(|number| (1..=HIGHEST_LIMIT).contains(number));
    fits.ok_or_else(|| syn::Error::new(literal.span(), expected))
}

/// Takes our attributes off an argument.
pub(super) fn take_argument(
    attributes: &mut Vec<Attribute>,
    errors: &mut Errors,
) -> ArgumentAttributes {
    let (serde, rest): (Vec<_>, Vec<_>) =
        attributes.drain(..).partition(|attribute| attribute.path().is_ident("serde"));
    let (schemars, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|attribute| attribute.path().is_ident("schemars"));
    for attribute in &serde {
        let only_default = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("default") {
                return Err(meta.error("an argument takes `#[serde(default)]` only"));
            }
            Ok(())
        });
        errors.keep(only_default);
    }
    let (ignored, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|attribute| attribute.path().is_ident(MAY_BE_IGNORED));
    for attribute in &ignored {
        errors.keep(attribute.meta.require_path_only());
    }
    if let [_, second, ..] = &*ignored {
        errors.at(second, format!("`#[{MAY_BE_IGNORED}]` stands here twice"));
    }
    for attribute in &rest {
        let message = "an argument of an interface's method takes `#[serde(default)]`, bounds such as \
                       `#[schemars(range(max = 100))]` and `#[may_be_ignored]`, and nothing else";
        errors.at(attribute, message);
    }
    ArgumentAttributes { serde, schemars, may_be_ignored: !ignored.is_empty() }
}

/// The text of doc comments, its common indent taken off.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let lines: Vec<String> = lines
        .filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        })
        .collect();
    let unindented = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line));
    unindented.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Two methods with one route: the second is told.
pub(super) fn refuse_equal_routes(methods: &[Method], errors: &mut Errors) {
    let mut routes: HashMap<String, &Ident> = HashMap::new();
    for method in methods {
        let Some(http) = &method.attributes.http else { continue };
        if let Some(first) = routes.insert(http.shape(), &method.name) {
            errors.at_span(
                method.route_span(),
                format!("`{}` has this route already: {}", first, http.shape()),
            );
        }
    }
}

/// Where a module's own routes are: `/pictures`, or deeper, and the same for all requests.
pub(super) fn check_prefix(literal: &LitStr) -> syn::Result<()> {
    let prefix = literal.value();
    let is_segment = |segment: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        !segment.is_empty() && segment.chars().all(fits)
    };
    let fits = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
    if fits {
        return Ok(());
    }
    Err(syn::Error::new(
        literal.span(),
        "the routes of a module's own have a fixed beginning, such as `routes = \"/pictures\"`",
    ))
}
