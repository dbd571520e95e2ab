/// What a key may do, with the names of the vendor's page on API keys.
public enum Scope: String, CaseIterable, Sendable, Hashable {
    case send = "email:send"
    case batch = "email:batch"
    case domains = "email:domains"
    case templates = "email:templates"
    case webhooks = "email:webhooks"
}

/// Where a key's messages go: test keys are simulated, live keys are sent through SES.
public enum Environment: String, CaseIterable, Sendable, Hashable {
    case test
    case live
}
