import Testing

@testable import Diagnosis

@Suite struct ReportTests {
    private let report = Report([
        .ok(.settings, "no mistakes"),
        .problem(.database, "there is no database at /var/lib/hiveku-relay/relay.db", remedy: "start the relay"),
        .skipped(.queue, "unknown", remedy: "correct it"), .skipped(.keys, "unknown", remedy: "correct it"),
        .skipped(.ses, "unknown", remedy: "otherwise"), .warning(.clock, "late", remedy: "set it"),
    ])

    @Test func `Lines in a pipe are as long as they like`() {
        // If two checks in a row have the same reason and remedy, the report shows them only once.
        let text = report.text(width: nil).replacing(/skipped  keys .*/, with: "skipped  keys")
        #expect(!report.text(width: nil).contains("skipped  keys      unknown"))
        #expect(
            text == """
                ok       settings  no mistakes
                problem  database  there is no database at /var/lib/hiveku-relay/relay.db
                                   -> start the relay
                skipped  queue     unknown
                                   -> correct it
                skipped  keys
                skipped  ses       unknown
                                   -> otherwise
                warning  clock     late
                                   -> set it

                1 problem, 1 warning, 3 skipped

                """)
    }

    @Test func `A terminal gets lines of its width`() {
        let lines = report.text(width: 40).split(separator: "\n")
        #expect(
            lines[1...3] == [
                "problem  database  there is no database",
                "                   at",
                // This word is longer than a line.
                "                   /var/lib/hiveku-relay/relay.db",
            ])
        // If the terminal is narrower than the columns, lines are as long as in a pipe.
        #expect(report.text(width: 30) == report.text(width: nil))
    }

    @Test(
        arguments: [
            ([Finding](), true, []), ([.ok(.clock, "x")], true, []),
            ([.warning(.clock, "x", remedy: "y"), .warning(.clock, "x", remedy: "y")], true, ["2 warnings"]),
            ([.skipped(.clock, "x", remedy: "y")], true, ["1 skipped"]),
            ([.problem(.clock, "x", remedy: "y"), .ok(.disk, "x")], false, ["1 problem"]),
        ] as [([Finding], Bool, [String])])
    func `Warnings are no failure`(findings: [Finding], isOK: Bool, counts: [String]) {
        let report = Report(findings)
        #expect(report.isOK == isOK)
        #expect(!report.summary.isEmpty)
        #expect(report.summary.matches(of: /[0-9]+ [a-z]+/).map { String($0.output) } == counts)
    }

    @Test func rewording() {
        let finding = Finding.warning(.clock, "a", remedy: "b").rewording { $0 + "!" }
        #expect(finding == .warning(.clock, "a!", remedy: "b!"))
    }
}
