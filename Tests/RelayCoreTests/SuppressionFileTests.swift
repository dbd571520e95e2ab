import RelayCore
import TestSupport
import Testing

@Suite("Files of suppressions") struct SuppressionFileTests {
    private static let now = Timestamp(milliseconds: 1_700_000_000_000)

    private func lines(_ text: String) -> (lines: [SuppressionFile.Line], passedOver: [String]) {
        var file = SuppressionFile(.init(environment: .live, reason: .manual, createdAt: Self.now)) { address in
            address.contains("@") ? .success(address) : .failure(.init("no @"))
        }
        var lines: [SuppressionFile.Line] = []
        file.read(Array(text.utf8)[...]) { lines.append($0) }
        file.finish { lines.append($0) }
        return (lines, file.passedOver)
    }

    private func told(_ text: String) -> [String] {
        lines(text).lines.map { line in
            switch line {
            case .entry(let entry):
                "\(entry.environment.rawValue) \(entry.address) \(entry.reason.rawValue) \(entry.note ?? "-")"
            case .mistake(let mistake): "\(mistake.line): \(mistake.explanation)\(mistake.endsReading ? "!" : "")"
            }
        }
    }

    @Test(arguments: [
        ("", []), ("a@x.com\n\nb@x.com", ["live a@x.com manual -", "live b@x.com manual -"]),
        ("address\na@X.com", ["live a@x.com manual -"]), ("E-Mail\na@x.com", ["live a@x.com manual -"]),
        ("a@x.com,test,hard_bounce", ["test a@x.com hard_bounce -"]),
        ("a@x.com,,complaint,,,n", ["live a@x.com complaint n"]),
        ("note,Reason,Email Address\nn,Complaint,a@x.com\n", ["live a@x.com complaint n"]),
        ("email,status\na@x.com,550\nb@x.com\n", ["live a@x.com manual -", "live b@x.com manual -"]),
        ("'-a@x.com", ["live -a@x.com manual -"]),
    ])
    func reads(_ text: String, _ entries: [String]) { #expect(told(text) == entries) }

    @Test(arguments: [
        ("a\nb@x.com", ["1: … no @ …", "live b@x.com manual -"]), ("address,note\n,n", ["2: … address … missing …"]),
        ("a@x.com,prod", ["1: … environment … live … test …"]),
        ("a@x.com,live,spam", ["1: … reason … hard_bounce … complaint … manual …"]),
        ("a@x.com,,,yesterday", ["1: … created_at … zone … 2026-12-01T09:00:00Z …"]),
        ("a@x.com,,,,x", ["1: … message … id … 06f1c4k9x2b7e …"]),
        ("address\na@x.com,b", ["2: … 2 cells … 1 …"]),
        ("address;reason\na@x.com;manual", ["1: … columns … semicolons … commas …!"]),
        ("address,email\na@x.com,b@x.com", ["1: … two columns … address …!"]),
        (
            "a@x.com\n\"b@x.com\nc@x.com",
            ["live a@x.com manual -", "2: … quote … closed …!"]
        ),
        (
            "a@x.com,1,2,3,4,5,6",
            ["1: … 7 cells … address, environment, reason, created_at, message, note …"]
        ),
    ])
    func tellsMistakes(_ text: String, _ told: [String]) { #expect(self.told(text).reads(told)) }

    @Test func ignoredColumnsAreReported() {
        #expect(lines("email,status,note,origin\na@x.com,1,2,3").passedOver == ["status", "origin"])
    }

    @Test func anExportIsReadBackAsItWas() {
        let notes = [nil, "550 5.1.1 no \"such\", user", "=1+1", "'-1", "two\nlines", "ü"]
        let entries = notes.enumerated().map { number, note in
            Suppression(
                environment: number.isMultiple(of: 2) ? .live : .test, address: "+a\(number)@example.com",
                reason: SuppressionReason.allCases[number % 3], createdAt: Timestamp(milliseconds: 1_600_000_000_123),
                message: number == 1 ? MessageID(rawValue: 1 << 40) : nil, note: note)
        }
        let text = Suppression.csvHeading + entries.map(\.csvLine).joined()
        #expect(lines(text).lines == entries.map { .entry($0) })
        #expect(Suppression.csvHeading == "address,environment,reason,created_at,message,note\n")
        // The file can also be read without its first line.
        #expect(lines(entries.map(\.csvLine).joined()).lines == entries.map { .entry($0) })
    }
}
