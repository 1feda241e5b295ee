//! Checks that nothing is open by omission: in an application with identity, the routed methods of each interface say who
//! may call them.

use super::Check;
use crate::problem::Problem;

/// Reports each placed module whose interface's package does not say that its routed methods do.
pub(super) fn unstated(check: &mut Check<'_>) {
    if !check.manifest.identity.stated {
        return;
    }
    for placement in &check.manifest.modules {
        let module = &placement.module;
        let api = check.workspace.api_of(module);
        let host = check.host.filter(|_| api.is_none() && check.lives_with_host(module));
        let Some(package) = api.or(host).filter(|package| !package.auth) else { continue };
        check.problems.push(Problem {
            file: check.manifest.file.clone(),
            line: placement.line,
            column: placement.column,
            message: format!(
                "this application has [identity], and the package `{}` does not say that each routed method of `{module}` \
                 states who may call it",
                package.name
            ),
            help: Some(format!(
                "write `auth = true` under [package.metadata.monolift] in {}; the compiler then names the methods without \
                 `#[auth(…)]`",
                package.cargo_toml.display()
            )),
        });
    }
}
