import SenderReports
import Testing

@Suite("The header of the original message") struct OriginalHeaderTests {
    private func header(_ text: String) -> OriginalHeader { OriginalHeader(beginning: Array(text.utf8)) }

    @Test(
        arguments: [
            ("A: b\r\n\r\nbody\r\n", "A: b\r\n"), ("A: b\r\nC: d\r\n e\r\n\r\nX: y\r\n", "A: b\r\nC: d\r\n e\r\n"),
            ("A: b\r\n", "A: b\r\n"), ("A: b\r\nC: d", "A: b\r\n"), ("\r\nbody\r\n", ""), ("", ""),
            ("A: b\n\nbody\n", "A: b\n"),
        ])
    func itEndsAtTheEmptyLine(text: String, expected: String) {
        #expect(String(decoding: header(text).octets, as: UTF8.self) == expected)
    }

    @Test(
        arguments: [
            ("Message-ID: <a@b>\r\n", "<a@b>"), ("MESSAGE-ID:<a@b> \r\n", "<a@b>"),
            ("A: b\r\nmessage-id:\t<a@b>\r\n", "<a@b>"),
            ("Message-ID: <a@b>\r\nMessage-ID: <c@d>\r\n", "<a@b>"), ("Message-ID: a@b\r\n", nil),
            ("Message-ID: <ab>\r\n", nil),
            ("Message-ID: <a@b> <c@d>\r\n", nil), ("Message-ID: <a@b\r\n", nil), ("Message-ID: <a@ä>\r\n", nil),
            ("Message-ID:\r\n <a@b>\r\n", nil), ("X-Message-ID: <a@b>\r\n", nil), ("\r\nMessage-ID: <a@b>\r\n", nil),
            ("Message-ID: <" + String(repeating: "a", count: 300) + "@b>\r\n", nil), ("Message-ID: <a\r@b>\r\n", nil),
            ("", nil),
        ] as [(String, String?)])
    func theMessageIDIsReferredToWhereItCanBeWritten(text: String, expected: String?) {
        #expect(header(text).messageID == expected)
    }

    @Test func longHeaderIsTruncatedAfterAWholeLine() {
        let line = "X: " + String(repeating: "a", count: 95) + "\r\n"
        let cut = header(String(repeating: line, count: 2000))
        #expect(cut.octets.count == OriginalHeader.longest / 100 * 100)
        #expect(cut.octets.suffix(2) == [0x0D, 0x0A])
        #expect(header("X: " + String(repeating: "a", count: 70_000) + "\r\n\r\n").octets.isEmpty)
    }
}
