/// Findings for checks that could not be made.
extension Judge {
    /// Replaces all findings that depend on the settings.
    public static let withoutSettings = Finding.Subject.allCases.filter { $0 != .settings }.map { subject in
        Finding.skipped(subject, "the settings have mistakes", remedy: "correct the settings first")
    }

    /// Replaces a finding that depends on the database's records.
    public static func withoutRecords(_ subject: Finding.Subject) -> Finding {
        .skipped(subject, "the database can't be read", remedy: "make the database readable first")
    }

    /// Replaces all checks that ask SES if the database can't be read.
    public static let sesWithoutRecords = sesSkipped(
        because: "it is not known whether there are live keys, because the database can't be read",
        remedy: "make the database readable first")

    /// The check itself failed, for the reason `why`.
    public static func failed(_ subject: Finding.Subject, _ why: String) -> Finding {
        .problem(subject, why, remedy: "run doctor again; if that does not help: journalctl -u hiveku-relay")
    }
}
