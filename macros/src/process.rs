//! `process!`, `service!` and `host!`: which modules are linked into a program.
//!
//! The manifest is read here, while the program is compiled. What it says besides is embedded, and
//! read again when the program starts.

use monolift_manifest::{Graph, LocalCalls, Manifest, Problems, Workspace, nearest};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use std::path::{Path, PathBuf};
use syn::{
    Expr, Ident, LitStr, Token,
    parse::{Parse, ParseStream},
};

/// `process!("../deployment.toml", "monolith", |app| …)`, or with `env,` before it.
struct ProcessInput {
    from_env: bool,
    manifest: LitStr,
    process: LitStr,
    prepare: Option<Expr>,
}

impl Parse for ProcessInput {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let from_env = input.peek(Ident);
        if from_env {
            let env: Ident = input.parse()?;
            if env != "env" {
                return Err(syn::Error::new(env.span(), "write `env`, or the manifest's path"));
            }
            input.parse::<Token![,]>()?;
        }
        let manifest = input.parse()?;
        input.parse::<Token![,]>()?;
        let process = input.parse()?;
        Ok(Self { from_env, manifest, process, prepare: prepare(input)? })
    }
}

fn prepare(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() { Ok(None) } else { input.parse().map(Some) }
}

pub(crate) fn process(input: TokenStream) -> TokenStream {
    let read = || {
        let input = syn::parse2::<ProcessInput>(input)?;
        let (mut manifest, mut process) =
            (package_directory().join(input.manifest.value()), input.process.value());
        let mut tracked = TokenStream::new();
        if input.from_env {
            tracked = quote! {
                const _: ::core::option::Option<&str> = ::core::option_env!("MONOLIFT_MANIFEST");
                const _: ::core::option::Option<&str> = ::core::option_env!("MONOLIFT_PROCESS");
            };
            if let Ok(named) = std::env::var("MONOLIFT_PROCESS") {
                process = named;
            }
            if let Some(named) = manifest_from_env(input.manifest.span())? {
                manifest = named;
            }
        }
        let program = Program::read(&manifest, None, input.manifest.span())?;
        let linked = program.process(&process, input.process.span())?;
        Ok((tracked, linked, input.prepare))
    };
    main_or_error(read())
}

pub(crate) fn service(input: TokenStream) -> TokenStream {
    let read = || {
        let prepare = syn::parse::Parser::parse2(prepare, input)?;
        let span = Span::call_site();
        let manifest = match manifest_from_env(span)? {
            Some(named) => named,
            None => workspace(span)?.root.join("deployment.toml"),
        };
        let linked = Program::read(&manifest, None, span)?.service(span)?;
        let tracked = quote! {
            const _: ::core::option::Option<&str> = ::core::option_env!("MONOLIFT_MANIFEST");
        };
        Ok((tracked, linked, prepare))
    };
    main_or_error(read())
}

pub(crate) fn host(input: TokenStream) -> TokenStream {
    let read = || {
        let manifest: LitStr = syn::parse2(input)?;
        let file = package_directory().join(manifest.value());
        let package = package();
        Program::read(&file, Some(&package), manifest.span())?.host(manifest.span())
    };
    read().unwrap_or_else(|error| {
        let error = syn::Error::into_compile_error(error);
        quote!({ #error })
    })
}

fn main_or_error(read: syn::Result<(TokenStream, TokenStream, Option<Expr>)>) -> TokenStream {
    match read {
        Ok((tracked, linked, prepare)) => {
            let prepare = prepare.map_or_else(|| quote!(|app| app), |prepare| quote!(#prepare));
            quote! {
                #tracked
                fn main() -> ::std::process::ExitCode {
                    ::monolift::app::main(#linked, #prepare)
                }
            }
        }
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error fn main() {})
        }
    }
}

fn package() -> String {
    std::env::var("CARGO_PKG_NAME").unwrap_or_default()
}

fn package_directory() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
}

fn workspace(span: Span) -> syn::Result<Workspace> {
    Workspace::find(&package_directory()).map_err(|problems| at(span, &problems))
}

/// The manifest that the build names; a relative path is from the workspace's root.
fn manifest_from_env(span: Span) -> syn::Result<Option<PathBuf>> {
    let Some(named) = std::env::var_os("MONOLIFT_MANIFEST") else { return Ok(None) };
    Ok(Some(workspace(span)?.root.join(named)))
}

fn at(span: Span, problems: &Problems) -> syn::Error {
    // A leading line break lets each problem begin a line, as a compiler's own do.
    syn::Error::new(span, format!("this manifest cannot be built\n{problems}"))
}

/// What is read to link a program.
struct Program {
    workspace: Workspace,
    package: String,
    file: PathBuf,
    manifest: Manifest,
}

impl Program {
    /// `host` is the package of the host, if this is it.
    fn read(file: &Path, host: Option<&str>, span: Span) -> syn::Result<Self> {
        let workspace = workspace(span)?;
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let file = file.canonicalize().unwrap_or(file);
        let text = std::fs::read_to_string(&file).map_err(|error| {
            syn::Error::new(span, format!("{} cannot be read: {error}", file.display()))
        })?;
        let manifest = Manifest::parse_in(&text, workspace.relative(&file), &workspace, host)
            .map_err(|problems| at(span, &problems))?;
        Ok(Self { workspace, package: package(), file, manifest })
    }

    fn process(&self, process: &str, span: Span) -> syn::Result<TokenStream> {
        if !self.manifest.all_processes().any(|known| known == process) {
            let help = nearest(process, self.manifest.all_processes())
                .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            let file = self.manifest.file.display();
            return Err(syn::Error::new(span, format!("{file} has no process `{process}`{help}")));
        }
        let graph = self.graph(None, span)?;
        let modules: Vec<&str> = self.manifest.modules_of(process).collect();
        let apis = self.routed_apis(process, &graph);
        let kind = quote!(::monolift::app::Program::Process(#process));
        self.linked(&graph, &modules, &apis, &kind, span)
    }

    fn service(&self, span: Span) -> syn::Result<TokenStream> {
        let module = self.package.as_str();
        if self.manifest.process_of(module).is_none() {
            let file = self.manifest.file.display();
            return Err(syn::Error::new(span, format!("{file} places `{module}` nowhere")));
        }
        let graph = self.graph(None, span)?;
        let kind = quote!(::monolift::app::Program::Service(#module));
        self.linked(&graph, &[module], &[], &kind, span)
    }

    fn host(&self, span: Span) -> syn::Result<TokenStream> {
        let Some(process) = self.manifest.host.clone() else {
            let file = self.manifest.file.display();
            return Err(syn::Error::new(
                span,
                format!(
                    "{file} names no host: add `host = \"…\"`, the process that this program is"
                ),
            ));
        };
        let graph = self.graph(Some(&self.package), span)?;
        let modules: Vec<&str> = self.manifest.modules_of(&process).collect();
        let apis = self.routed_apis(&process, &graph);
        self.linked(&graph, &modules, &apis, &quote!(::monolift::app::Program::Host), span)
    }

    fn graph(&self, host: Option<&str>, span: Span) -> syn::Result<Graph> {
        Graph::check(&self.manifest, &self.workspace, host).map_err(|problems| at(span, &problems))
    }

    /// The api packages that a gateway needs for the routes of modules that live elsewhere.
    fn routed_apis(&self, process: &str, graph: &Graph) -> Vec<String> {
        let is_gateway =
            self.manifest.processes.get(process).is_some_and(|process| process.http.is_some());
        let elsewhere = |module: &&String| self.manifest.process_of(module) != Some(process);
        graph
            .modules
            .iter()
            .filter(|(module, _)| is_gateway && elsewhere(module))
            .filter_map(|(_, node)| node.api.clone())
            .collect()
    }

    /// The `Linked` of a program: what it links by naming it, and what it embeds.
    fn linked(
        &self,
        graph: &Graph,
        modules: &[&str],
        apis: &[String],
        kind: &TokenStream,
        span: Span,
    ) -> syn::Result<TokenStream> {
        let packages =
            modules.iter().filter_map(|module| graph.modules.get(*module)?.package.clone());
        let mut linked: Vec<String> = packages.chain(apis.iter().cloned()).collect();
        linked.sort();
        linked.dedup();
        self.check_dependencies(&linked, span)?;
        let named = linked.iter().map(|package| {
            let name = format_ident!("{}", package.replace('-', "_"));
            quote!(use ::#name as _;)
        });
        let tracked = self.workspace.files.iter().map(|file| {
            let file = file.to_string_lossy();
            quote!(
                const _: &[u8] = ::core::include_bytes!(#file);
            )
        });
        let calls = graph.modules.iter().map(|(module, node)| {
            let calls = &node.calls;
            quote!((#module, &[#(#calls),*]))
        });
        let host_calls = &graph.host_calls;
        let circles = graph.circles_through_host.iter().map(|circle| circle.join(" -> "));
        let local_calls = graph.local_calls.iter().map(|LocalCalls { caller, module, methods }| {
            let caller = match caller {
                Some(caller) => quote!(::core::option::Option::Some(#caller)),
                None => quote!(::core::option::Option::None),
            };
            quote!((#caller, #module, &[#(#methods),*]))
        });
        let text = self.file.to_string_lossy();
        let file = self.manifest.file.to_string_lossy();
        let root = self.workspace.root.to_string_lossy();
        Ok(quote! {{
            #(#named)*
            #(#tracked)*
            ::monolift::app::Linked {
                manifest: ::core::include_str!(#text),
                file: #file,
                root: #root,
                kind: #kind,
                modules: &[#(#modules),*],
                calls: &[#(#calls),*],
                host_calls: &[#(#host_calls),*],
                circles: &[#(#circles),*],
                local_calls: &[#(#local_calls),*],
            }
        }})
    }

    /// Cargo links only what a package depends on.
    fn check_dependencies(&self, linked: &[String], span: Span) -> syn::Result<()> {
        let Some(package) = self.workspace.package(&self.package) else { return Ok(()) };
        let has = |name: &&String| {
            **name != self.package
                && !package.dependencies.iter().any(|dependency| dependency.package == **name)
        };
        let missing: Vec<&str> = linked.iter().filter(has).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let lines = missing.iter().map(|name| {
            let directory = self.workspace.package(name).map(|package| &package.directory);
            let path = directory.map_or_else(String::new, |to| relative(&package.directory, to));
            format!("  {name} = {{ path = \"{path}\" }}")
        });
        Err(syn::Error::new(
            span,
            format!(
                "{} has these in this process, and `{}` does not depend on them: add to the \
                 [dependencies] of {}\n{}",
                self.manifest.file.display(),
                self.package,
                self.workspace.relative(&package.cargo_toml).display(),
                lines.collect::<Vec<_>>().join("\n"),
            ),
        ))
    }
}

/// `to`, as seen from the folder `from`.
fn relative(from: &Path, to: &Path) -> String {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| "..".to_owned());
    let down =
        to.components().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}
