/// What one check came to.
public struct Finding: Hashable, Sendable {
    public enum Outcome: String, CaseIterable, Sendable {
        case ok
        /// It works, but somebody should look at it.
        case warning
        /// It does not work.
        case problem
        /// It could not be checked, or there is nothing to check.
        case skipped
    }

    /// What was looked at, in the order in which it is told. The raw values are the names in JSON.
    public enum Subject: String, CaseIterable, Sendable {
        case settings, certificate, hostname, listeners, database, disk, queue, keys, ses, credentials, clock, account,
            quota, identity, feedback, bounces
    }

    public let subject: Subject
    public let outcome: Outcome
    /// A sentence.
    public let found: String
    /// What to do about it; nil where nothing is to be done.
    public let remedy: String?

    public static func ok(_ subject: Subject, _ found: String) -> Finding {
        Finding(subject: subject, outcome: .ok, found: found, remedy: nil)
    }

    public static func warning(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .warning, found: found, remedy: remedy)
    }

    public static func problem(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .problem, found: found, remedy: remedy)
    }

    public static func skipped(_ subject: Subject, _ found: String, remedy: String) -> Finding {
        Finding(subject: subject, outcome: .skipped, found: found, remedy: remedy)
    }

    /// With its words changed: what others have said may have to be made fit for a terminal.
    public func rewording(_ change: (String) -> String) -> Finding {
        Finding(subject: subject, outcome: outcome, found: change(found), remedy: remedy.map(change))
    }
}

/// Judges what was found: what was looked at goes in, findings come out. Nothing here looks itself.
public enum Judge {}
