/// The result of one check.
public struct Finding: Hashable, Sendable {
    /// The result of the check. The raw values are the words in JSON.
    public enum Outcome: String, CaseIterable, Sendable {
        case ok
        /// What was checked works, but needs attention.
        case warning
        /// What was checked does not work.
        case problem
        /// The check could not be made, or there is nothing to check.
        case skipped
    }

    /// What was checked, in the order of the report. The raw values are the names in JSON.
    public enum Subject: String, CaseIterable, Sendable {
        case settings, certificate, hostname, listeners, database, disk, queue, keys, ses, credentials, clock, account,
            quota, identity, feedback, bounces
    }

    /// What was checked.
    public let subject: Subject
    /// Whether it works, and how much attention it needs.
    public let outcome: Outcome
    /// What was found, as a sentence.
    public let found: String
    /// What to do about it; nil if there is nothing to do.
    public let remedy: String?

    /// A finding that needs no action.
    public static func ok(_ subject: Subject, _ found: String) -> Finding {
        Finding(subject: subject, outcome: .ok, found: found, remedy: nil)
    }

    /// Something that works but needs attention.
    public static func warning(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .warning, found: found, remedy: remedy)
    }

    /// Something that does not work.
    public static func problem(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .problem, found: found, remedy: remedy)
    }

    /// Something that could not be checked, or need not be.
    public static func skipped(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .skipped, found: found, remedy: remedy)
    }

    /// The finding with its texts changed, for example to make quoted text safe for a terminal.
    public func rewording(_ change: (String) -> String) -> Finding {
        Finding(subject: subject, outcome: outcome, found: change(found), remedy: remedy.map(change))
    }
}

/// Functions that judge observations: each takes what was observed and returns findings. None of them observes anything
/// itself.
public enum Judge {}
