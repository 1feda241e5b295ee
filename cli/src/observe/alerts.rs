//! The alerts: when each fires, why then, and an example for `promtool test rules`.

use super::deployment::Deployment;

/// An alert. Its runbook is the page of its name in `docs/runbooks`.
pub(super) struct Alert {
    pub(super) name: &'static str,
    /// Why the threshold is what it is.
    pub(super) why: &'static str,
    pub(super) expr: String,
    /// How long that has to be so.
    pub(super) hold: &'static str,
    /// `page` wakes a person, `ticket` waits for the morning.
    pub(super) severity: &'static str,
    /// What is the matter. `{{ $labels.x }}` stands for a label.
    pub(super) summary: &'static str,
    /// The page.
    pub(super) runbook: &'static str,
    pub(super) example: Example,
}

/// Series of which only one makes the alert fire.
pub(super) struct Example {
    /// Each with its values, one in 15 seconds.
    pub(super) series: Vec<(String, &'static str)>,
    /// The labels of the alert.
    pub(super) labels: Vec<(&'static str, String)>,
}

macro_rules! runbook {
    ($name:literal) => {
        include_str!(concat!("../../../docs/runbooks/", $name, ".md"))
    };
}

/// All alerts of an application.
pub(super) fn of(deployment: &Deployment) -> Vec<Alert> {
    let calls = [calls_fail(deployment), calls_slow(deployment)];
    let processes = [
        replica_gone(deployment),
        replica_unreachable(deployment),
        breaker_open(deployment),
        not_ready(deployment),
    ];
    let queues = [
        queue_full(deployment),
        buffers_full(deployment),
        pool_full(deployment),
        work_late(deployment),
        work_parked(deployment),
    ];
    calls.into_iter().chain(processes).chain(queues).collect()
}

fn calls_fail(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let by = "sum by (app, module, interface, method)";
    let all = format!("rate(monolift_calls_total{{app=\"{app}\",placement!=\"served\"}}[5m])");
    let failed = format!(
        "rate(monolift_calls_total{{app=\"{app}\",placement!=\"served\",outcome=\"failed\"}}[5m])"
    );
    let module = first_module(deployment);
    let series = |method: &str, outcome: &str, values| {
        let series = format!(
            "monolift_calls_total{{app=\"{app}\",caller=\"(edge)\",module=\"{module}\",interface=\"Example\",\
             method=\"{method}\",placement=\"local\",outcome=\"{outcome}\"}}"
        );
        (series, values)
    };
    Alert {
        name: "MonoliftCallsFail",
        why: "Errors that an interface declares (sold out, not found) are answers, and are not counted here. 2 % for five\n\
              minutes is more than retries, a restart or one lost replica cause. Below 1 call in 10 s a single failure\n\
              would be a large part.",
        expr: format!("{by} ({failed})\n  / {by} ({all}) > 0.02\nand\n{by} ({all}) > 0.1"),
        hold: "5m",
        severity: "page",
        summary: "more than 2 % of the calls of {{ $labels.module }}.{{ $labels.method }} fail",
        runbook: runbook!("MonoliftCallsFail"),
        example: Example {
            series: vec![
                series("fails", "answered", "0+30x100"),
                series("fails", "failed", "0+3x100"),
                series("works", "answered", "0+30x100"),
                series("works", "failed", "0x100"),
                // It fails each time, once in 150 s.
                series("rare", "failed", "0+0.1x100"),
            ],
            labels: vec![
                ("app", app.clone()),
                ("module", module.to_owned()),
                ("interface", "Example".to_owned()),
                ("method", "fails".to_owned()),
            ],
        },
    }
}

fn calls_slow(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let slow = deployment.slow.as_secs_f64();
    let module = first_module(deployment);
    let bucket = |method: &str, bound: &str, values| {
        let series = format!(
            "monolift_call_duration_seconds_bucket{{app=\"{app}\",caller=\"(edge)\",module=\"{module}\",\
             interface=\"Example\",method=\"{method}\",placement=\"local\",le=\"{bound}\"}}"
        );
        (series, values)
    };
    Alert {
        name: "MonoliftCallsSlow",
        why: "`observe.slow` of the manifest, or 1 s: what a person notices. A method that may take longer, by a\n\
              #[deadline] of its own, needs a rule of its own: exclude it here.",
        expr: format!(
            "histogram_quantile(0.99, sum by (app, module, interface, method, le) (\n  \
             rate(monolift_call_duration_seconds_bucket{{app=\"{app}\",placement!=\"served\"}}[5m])\n)) > {slow}"
        ),
        hold: "10m",
        severity: "page",
        summary: "the p99 of {{ $labels.module }}.{{ $labels.method }} is too long",
        runbook: runbook!("MonoliftCallsSlow"),
        example: Example {
            series: vec![
                bucket("slow", &format!("{slow}"), "0x100"),
                bucket("slow", &format!("{}", slow * 4.0), "0+15x100"),
                bucket("slow", "+Inf", "0+15x100"),
                bucket("fast", &format!("{}", slow / 2.0), "0+15x100"),
                bucket("fast", "+Inf", "0+15x100"),
            ],
            labels: vec![
                ("app", app.clone()),
                ("module", module.to_owned()),
                ("interface", "Example".to_owned()),
                ("method", "slow".to_owned()),
            ],
        },
    }
}

fn replica_gone(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let name = deployment.processes.first().map_or("process", |process| process.name.as_str());
    let up = |instance: &str, values| {
        (format!("up{{app=\"{app}\",job=\"{app}-{name}\",instance=\"{instance}\"}}"), values)
    };
    Alert {
        name: "MonoliftReplicaGone",
        why: "A restart takes seconds: a minute is four scrapes in a row.",
        expr: format!("up{{app=\"{app}\"}} == 0"),
        hold: "1m",
        severity: "page",
        summary: "{{ $labels.job }} at {{ $labels.instance }} is gone",
        runbook: runbook!("MonoliftReplicaGone"),
        example: Example {
            series: vec![up("10.0.0.1:7200", "1x100"), up("10.0.0.2:7200", "1x4 0x100")],
            labels: vec![
                ("app", app.clone()),
                ("job", format!("{app}-{name}")),
                ("instance", "10.0.0.2:7200".to_owned()),
            ],
        },
    }
}

fn replica_unreachable(deployment: &Deployment) -> Alert {
    let Series { series, labels } = replica(deployment, "monolift_replica_connected");
    Alert {
        name: "MonoliftReplicaUnreachable",
        why: "Callers try again within a second, for as long as it takes. After two minutes it will not mend itself.",
        expr: format!(
            "min by (app, process, address) (monolift_replica_connected{{app=\"{}\"}}) == 0",
            deployment.app
        ),
        hold: "2m",
        severity: "page",
        summary: "a caller cannot reach {{ $labels.process }} at {{ $labels.address }}",
        runbook: runbook!("MonoliftReplicaUnreachable"),
        example: Example {
            series: vec![
                (series("10.0.0.1:7100"), "1x100"),
                (series("10.0.0.2:7100"), "1x4 0x100"),
            ],
            labels,
        },
    }
}

fn breaker_open(deployment: &Deployment) -> Alert {
    let Series { series, labels } = replica(deployment, "monolift_replica_ejected");
    Alert {
        name: "MonoliftBreakerOpen",
        why: "One bad moment ejects a replica for seconds, and probes bring it back.",
        expr: format!(
            "max by (app, process, address) (monolift_replica_ejected{{app=\"{}\"}}) == 1",
            deployment.app
        ),
        hold: "1m",
        severity: "page",
        summary: "calls avoid {{ $labels.process }} at {{ $labels.address }}, because they fail there",
        runbook: runbook!("MonoliftBreakerOpen"),
        example: Example {
            series: vec![
                (series("10.0.0.1:7100"), "0x100"),
                (series("10.0.0.2:7100"), "0x4 1x100"),
            ],
            labels,
        },
    }
}

fn not_ready(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let ready = |instance: &str| {
        format!("monolift_ready{{app=\"{app}\",job=\"{app}-orders\",instance=\"{instance}\"}}")
    };
    Alert {
        name: "MonoliftNotReady",
        why: "A process is ready when it has reached every process that it calls once. That takes seconds.",
        expr: format!("monolift_ready{{app=\"{app}\"}} == 0"),
        hold: "2m",
        severity: "page",
        summary: "{{ $labels.job }} at {{ $labels.instance }} has not reached a process that it calls",
        runbook: runbook!("MonoliftNotReady"),
        example: Example {
            series: vec![(ready("10.0.0.1:7200"), "1x100"), (ready("10.0.0.2:7200"), "0x100")],
            labels: vec![
                ("app", app.clone()),
                ("job", format!("{app}-orders")),
                ("instance", "10.0.0.2:7200".to_owned()),
            ],
        },
    }
}

fn queue_full(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let refused = |instance: &str| {
        format!(
            "monolift_calls_refused_total{{app=\"{app}\",job=\"{app}-orders\",instance=\"{instance}\"}}"
        )
    };
    Alert {
        name: "MonoliftQueueFull",
        why: "A refused call found `limits.running` calls at work and `limits.waiting` before it, or waited for `limits.wait`.\n\
              Its caller tries another replica. One in ten seconds, for five minutes, is more than a burst.",
        expr: format!(
            "sum by (app, job, instance) (rate(monolift_calls_refused_total{{app=\"{app}\"}}[5m])) > 0.1"
        ),
        hold: "5m",
        severity: "page",
        summary: "{{ $labels.job }} at {{ $labels.instance }} refuses calls, because its queue is full",
        runbook: runbook!("MonoliftQueueFull"),
        example: Example {
            series: vec![
                (refused("10.0.0.1:7200"), "0x100"),
                (refused("10.0.0.2:7200"), "0+3x100"),
            ],
            labels: vec![
                ("app", app.clone()),
                ("job", format!("{app}-orders")),
                ("instance", "10.0.0.2:7200".to_owned()),
            ],
        },
    }
}

fn buffers_full(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let of = |instance: &str| format!("app=\"{app}\",job=\"{app}-orders\",instance=\"{instance}\"");
    let used = |instance: &str| format!("monolift_buffer_bytes{{{},of=\"served\"}}", of(instance));
    let limit = |instance: &str| format!("monolift_buffer_limit_bytes{{{}}}", of(instance));
    Alert {
        name: "MonoliftBuffersFull",
        why: "Buffers hold calls only until they are decoded. Half of `limits.memory` for five minutes means that calls\n\
              arrive faster than they are taken; beyond all of it they are refused.",
        expr: format!(
            "sum by (app, job, instance) (monolift_buffer_bytes{{app=\"{app}\"}})\n  \
             / sum by (app, job, instance) (monolift_buffer_limit_bytes{{app=\"{app}\"}}) > 0.5"
        ),
        hold: "5m",
        severity: "page",
        summary: "the buffers of {{ $labels.job }} at {{ $labels.instance }} are more than half full",
        runbook: runbook!("MonoliftBuffersFull"),
        example: Example {
            series: vec![
                (used("10.0.0.1:7200"), "40x100"),
                (limit("10.0.0.1:7200"), "100x100"),
                (used("10.0.0.2:7200"), "60x100"),
                (limit("10.0.0.2:7200"), "100x100"),
            ],
            labels: vec![
                ("app", app.clone()),
                ("job", format!("{app}-orders")),
                ("instance", "10.0.0.2:7200".to_owned()),
            ],
        },
    }
}

fn pool_full(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let module = first_module(deployment);
    let of = |instance: &str| format!("app=\"{app}\",instance=\"{instance}\",module=\"{module}\"");
    let used =
        |instance: &str| format!("monolift_db_connections{{{},state=\"in_use\"}}", of(instance));
    let most = |instance: &str| format!("monolift_db_connections_limit{{{}}}", of(instance));
    Alert {
        name: "MonoliftPoolFull",
        why: "A pool that is full for a moment only makes calls wait. Full at every scrape of five minutes, it is what\n\
              limits the module.",
        expr: format!(
            "max by (app, instance, module) (monolift_db_connections{{app=\"{app}\",state=\"in_use\"}})\n  \
             >= max by (app, instance, module) (monolift_db_connections_limit{{app=\"{app}\"}})"
        ),
        hold: "5m",
        severity: "page",
        summary: "every database connection of {{ $labels.module }} at {{ $labels.instance }} is in use",
        runbook: runbook!("MonoliftPoolFull"),
        example: Example {
            series: vec![
                (used("10.0.0.1:7200"), "4x100"),
                (most("10.0.0.1:7200"), "5x100"),
                (used("10.0.0.2:7200"), "5x100"),
                (most("10.0.0.2:7200"), "5x100"),
            ],
            labels: vec![
                ("app", app.clone()),
                ("instance", "10.0.0.2:7200".to_owned()),
                ("module", module.to_owned()),
            ],
        },
    }
}

fn work_late(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let Series { series, labels } = work(deployment, "monolift_work_oldest_seconds", "");
    Alert {
        name: "MonoliftWorkLate",
        why: "Durable work begins within a second when nothing is wrong. Five minutes are more than a restart and a few\n\
              attempts that fail.",
        expr: format!(
            "max by (app, module, kind) (monolift_work_oldest_seconds{{app=\"{app}\"}}) > 300"
        ),
        hold: "5m",
        severity: "ticket",
        summary: "work {{ $labels.kind }} of {{ $labels.module }} has waited for more than five minutes",
        runbook: runbook!("MonoliftWorkLate"),
        example: Example {
            series: vec![(series("ok"), "1x100"), (series("example"), "0+15x100")],
            labels,
        },
    }
}

fn work_parked(deployment: &Deployment) -> Alert {
    let app = &deployment.app;
    let Series { series, labels } = work(deployment, "monolift_work_pieces", ",state=\"parked\"");
    Alert {
        name: "MonoliftWorkParked",
        why: "Work is parked when all its attempts have failed. It never runs again by itself.",
        expr: format!(
            "max by (app, module, kind) (monolift_work_pieces{{app=\"{app}\",state=\"parked\"}}) > 0"
        ),
        hold: "1m",
        severity: "ticket",
        summary: "work {{ $labels.kind }} of {{ $labels.module }} is parked",
        runbook: runbook!("MonoliftWorkParked"),
        example: Example {
            series: vec![(series("ok"), "0x100"), (series("example"), "0x4 2x100")],
            labels,
        },
    }
}

/// The series of one metric, for different values of a label, and the labels of an alert about one of them.
struct Series<F> {
    series: F,
    labels: Vec<(&'static str, String)>,
}

/// By address. The second replica is the one that the alert is about.
fn replica(deployment: &Deployment, metric: &str) -> Series<impl Fn(&str) -> String> {
    let app = deployment.app.clone();
    let labels = vec![
        ("app", app.clone()),
        ("process", "orders".to_owned()),
        ("address", "10.0.0.2:7100".to_owned()),
    ];
    let series = move |address: &str| {
        format!("{metric}{{app=\"{app}\",process=\"orders\",address=\"{address}\"}}")
    };
    Series { series, labels }
}

/// By kind. The alert is about `example`.
fn work(deployment: &Deployment, metric: &str, more: &str) -> Series<impl Fn(&str) -> String> {
    let (app, module) = (deployment.app.clone(), first_module(deployment).to_owned());
    let labels =
        vec![("app", app.clone()), ("module", module.clone()), ("kind", "example".to_owned())];
    let series = move |kind: &str| {
        format!("{metric}{{app=\"{app}\",module=\"{module}\",kind=\"{kind}\"{more}}}")
    };
    Series { series, labels }
}

fn first_module(deployment: &Deployment) -> &str {
    deployment.modules.first().map_or("module", String::as_str)
}
