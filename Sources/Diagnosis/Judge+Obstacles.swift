/// What keeps others from being looked at.
extension Judge {
    /// In place of everything that hangs on the settings.
    public static let withoutSettings = Finding.Subject.allCases.filter { $0 != .settings }.map { subject in
        Finding.skipped(subject, "the settings have mistakes", remedy: "correct the settings first")
    }

    /// In place of what stands in the database.
    public static func withoutRecords(_ subject: Finding.Subject) -> Finding {
        .skipped(subject, "the database can't be read", remedy: "make the database readable first")
    }

    public static let sesWithoutRecords = sesSkipped(
        because: "whether there are live keys is not known, as the database can't be read",
        remedy: "make the database readable first")

    public static func failed(_ subject: Finding.Subject, _ why: String) -> Finding {
        .problem(subject, why, remedy: "run doctor again; if it stays so: journalctl -u hiveku-relay")
    }
}
