import Testing

@testable import InternetMessage

/// Which messages count as automatic mail. The relay sends no mail about their failure. Otherwise two programs could
/// write to each other forever.
struct AutomaticMailTests {
    private func isAutomatic(_ fields: String) -> Bool? {
        // The body has a part for each multipart type in these tests, because a multipart without parts is refused.
        let body = "--a\r\n\r\nText\r\n--a--\r\n--report\r\n\r\nText\r\n--report--\r\n"
        return prepare([Array("From: a@example.com\r\n\(fields)\r\n\(body)".utf8)]).summary?.isAutomatic
    }

    @Test(
        arguments: [
            "Auto-Submitted: auto-replied", "auto-submitted: auto-generated",
            "AUTO-SUBMITTED:Auto-Notified; owner-email=\"a@b\"",
            "Auto-Submitted: (no) auto-replied", "Auto-Submitted:\r\n auto-replied", "Auto-Submitted: none",
            "Auto-Submitted:",
            "Auto-Submitted: (no", "Auto-Submitted: \"auto-replied\"", "Precedence: bulk", "precedence: JUNK",
            "Precedence: (by (our) policy) list (x)", "List-Id: <a.example.com>",
            "List-Unsubscribe: <https://example.com/>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "LIST-POST: NO", "list-x: y",
            "X-Auto-Response-Suppress: All", "X-Auto-Response-Suppress: DR, RN, NRN, NDR",
            "x-auto-response-suppress: ndr",
            "X-Auto-Response-Suppress: OOF\r\nX-Auto-Response-Suppress: NDR",
            "Content-Type: multipart/report; boundary=a; report-type=delivery-status",
            "Content-Type: MULTIPART/(x)Report;\r\n boundary=\"a\"",
        ])
    func automatic(fields: String) {
        #expect(isAutomatic(fields + "\r\n") == true, "\(fields)")
    }

    @Test(
        arguments: [
            "", "Auto-Submitted: no", "Auto-Submitted: NO (a person)", "Auto-Submitted: (auto-replied) no",
            "Precedence: first-class", "Precedence:", "Precedence: bulky", "Precedence: (bulk)",
            "Precedence: special-delivery, bulk",
            "X-Auto-Response-Suppress: OOF, AutoReply", "X-Auto-Response-Suppress: DR", "X-Auto-Response-Suppress:",
            "X-Auto-Response-Suppress: None", "Listing: x", "Lis-t: x", "X-List-Id: x",
            "Subject: Auto-Submitted: auto-replied",
            "Content-Type: multipart/mixed; boundary=report", "Content-Type: text/plain; x=\"multipart/report\"",
            "Content-Type: message/report", "X-Precedence: bulk", "X-Auto-Submitted: auto-replied",
        ])
    func byAPerson(fields: String) {
        #expect(isAutomatic(fields.isEmpty ? "" : fields + "\r\n") == false, "\(fields)")
    }

    @Test func nestedReportDoesNotMakeTheMessageAutomatic() {
        let message = """
            From: a@example.com\r
            Content-Type: multipart/mixed; boundary=a\r
            \r
            --a\r
            Content-Type: multipart/report; boundary=b\r
            Auto-Submitted: auto-replied\r
            \r
            --b\r
            \r
            List-Id: x\r
            --b--\r
            --a--\r

            """
        #expect(prepare([Array(message.utf8)]).summary?.isAutomatic == false)
    }
}
