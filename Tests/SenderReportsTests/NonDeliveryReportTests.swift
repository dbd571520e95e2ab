import InternetMessage
import RelayCore
import TestSupport
import Testing

@testable import SenderReports

@Suite("A report to a sender") struct NonDeliveryReportTests {
    @Test func reportIsAValidMessageMarkedAsAutomatic() throws {
        for (subject, diagnostic) in [
            ("Hello", "550 5.1.1 no"), ("Grüße\r\nX: y", "550 5.1.1 \u{7}ä\r\n\r\n--x"), ("", ""),
        ] {
            let octets = try report(
                [failed(.init("to@example.net"), .bounced, reason: "hard", diagnostic: diagnostic)], subject: subject,
                original: "From: a@b\r\nSubject: \(subject)\r\n\r\n"
            ).octets()
            var preparation = MessagePreparation(
                policy: PreparationPolicy(),
                context: PreparationContext(
                    received: nil, date: "Tue, 24 Nov 2026 14:33:17 +0000", messageID: "<1@relay.test>"))
            var output: [UInt8] = []
            octets.withUnsafeBytes { preparation.consume($0, into: &output) }
            let summary = try preparation.finish(into: &output).get()
            #expect(summary.isAutomatic)
            #expect(output == octets)
        }
    }

    @Test func theHeaderIsThatOfAReport() throws {
        let text = String(decoding: try report(original: "Message-ID: <a@b>\r\n\r\n").octets(), as: UTF8.self)
        let lines = text.components("\r\n\r\n")[0].components("\r\n")
        #expect(lines[0].hasPrefix("From: ") && lines[0].hasSuffix(" <bounces@example.com>"))
        #expect(
            lines.dropFirst().joined(separator: "\r\n") == """
                To: app@example.com\r
                Subject: \(NonDeliveryReport.subject)\r
                Date: Wed, 25 Nov 2026 12:00:00 +0000\r
                Message-ID: <1@relay.example.com>\r
                In-Reply-To: <a@b>\r
                References: <a@b>\r
                Auto-Submitted: auto-replied\r
                MIME-Version: 1.0\r
                Content-Type: multipart/report; report-type=delivery-status;\r
                 boundary="=_report_7"
                """)
    }

    @Test func theStatusHasAGroupForEachRecipient() throws {
        let report = try report([
            failed("a@example.net", .bounced, reason: "bounced", diagnostic: "smtp; 550 5.1.1 user unknown"),
            failed("b@example.net", .suppressed, reason: "on the list"),
            failed("c@example.net", .failed, reason: "gave up after 2 days: no route"),
            failed("d@example.net", .failed, reason: nil),
        ])
        let lines = try part("message/delivery-status", of: report.octets())
        #expect(
            lines == [
                "Reporting-MTA: dns; relay.example.com", "Arrival-Date: Wed, 25 Nov 2026 12:00:00 +0000",
                "X-Hiveku-Relay-Message-ID: \(report.message.id)", "",
                "Final-Recipient: rfc822; a@example.net", "Action: failed", "Status: 5.1.1",
                "Diagnostic-Code: smtp; 550 5.1.1 user unknown", "Last-Attempt-Date: Wed, 25 Nov 2026 12:00:00 +0000",
                "",
                "Final-Recipient: rfc822; b@example.net", "Action: failed", "Status: 5.7.1",
                "Diagnostic-Code: x-hiveku-relay; on the list", "Last-Attempt-Date: Wed, 25 Nov 2026 12:00:00 +0000",
                "",
                "Final-Recipient: rfc822; c@example.net", "Action: failed", "Status: 4.4.7",
                "Diagnostic-Code: x-hiveku-relay; gave up after 2 days: no route",
                "Last-Attempt-Date: Wed, 25 Nov 2026 12:00:00 +0000", "",
                "Final-Recipient: rfc822; d@example.net", "Action: failed", "Status: 5.0.0",
                "Last-Attempt-Date: Wed, 25 Nov 2026 12:00:00 +0000", "", "",
            ])
    }

    /// Servers and applications write the replies, subjects and headers, so they may contain anything.
    @Test(
        arguments: [
            "550 no\r\nX-Injected: yes", "550 no\n\nFinal-Recipient: rfc822; x@y",
            "550 no\r\n\r\n--=_report_7\r\n\r\nX: y",
            "550 no\u{2028}X-Injected: yes", "550 no\u{85}X-Injected: yes", "550 \u{0}\u{1b}[31m",
            "550 \u{202E}gnp.exe",
            "550 " + String(repeating: "a", count: 5000), "550 " + String(repeating: "ä ", count: 5000),
            "=?utf-8?q?a?=",
            "\r\n", "550 no\rX-Injected: yes",
        ])
    func nothingFromOutsideAddsAFieldOrAPart(text: String) throws {
        let octets = try report(
            [failed("to@example.net", .bounced, reason: text, diagnostic: text)], subject: text,
            original: "A: b\r\n\r\n"
        ).octets()
        let all = String(decoding: octets, as: UTF8.self)
        #expect(all.components("\r\n--=_report_7").count == 5, "three parts and the closing boundary")
        let status = try part("message/delivery-status", of: octets)
        #expect(status.allSatisfy { $0.utf8.allSatisfy { (0x20..<0x7F).contains($0) } }, "the status is in ASCII")
        let known = [
            "Reporting-MTA", "Arrival-Date", "X-Hiveku-Relay-Message-ID", "Final-Recipient", "Action", "Status",
            "Diagnostic-Code", "Last-Attempt-Date",
        ]
        for line in status where !line.isEmpty && !line.hasPrefix(" ") {
            #expect(known.contains { line.hasPrefix($0 + ": ") }, "\(line)")
        }
        #expect(status.count { $0.hasPrefix("Final-Recipient") } == 1)
        for line in all.components("\r\n") { #expect(line.utf8.count <= 998) }
        #expect(!all.contains { $0 == "\r" || $0 == "\n" }, "no bare CR or LF")
        #expect(octets.count < 20_000)
    }

    @Test func boundaryDoesNotOccurInTheOriginal() throws {
        let octets = try report(original: "A: --=_report_7\r\n --=_report_8--\r\n\r\n").octets()
        let all = String(decoding: octets, as: UTF8.self)
        #expect(all.contains("boundary=\"=_report_9\""))
        #expect(try part("text/rfc822-headers", of: octets) == ["A: --=_report_7", " --=_report_8--", "", ""])
    }

    @Test func anOriginalThatIsNotASCIIIsEncoded() throws {
        let header = "Subject: Gr\u{FC}\u{DF}e\r\n"
        let octets = try report(original: header + "\r\n").octets()
        #expect(octets.allSatisfy { $0 < 0x80 })
        #expect(String(decoding: octets, as: UTF8.self).contains("Gr=C3=BC=C3=9Fe"))
    }

    @Test func withoutTheOriginalThereAreTwoParts() throws {
        let all = String(decoding: try report().octets(), as: UTF8.self)
        #expect(!all.contains("rfc822-headers") && !all.contains("In-Reply-To"))
        #expect(all.hasSuffix("--=_report_7--\r\n"))
    }

    @Test func aThousandRecipientsTakeLessThanAMegabyte() throws {
        let many = (0..<1000).map {
            failed(
                "\($0)@example.net", .bounced, reason: "x",
                diagnostic: "550 5.1.1 " + String(repeating: "no ", count: 900))
        }
        let octets = try report(many, original: String(repeating: "X: y\r\n", count: 20_000)).octets()
        #expect(octets.count < 1 << 20)
        let status = try part("message/delivery-status", of: octets)
        #expect(status.count { $0.hasPrefix("Final-Recipient") } == 1000)
        #expect(String(decoding: octets, as: UTF8.self).contains("and 900 more"))
    }

    @Test(
        arguments: [
            (EventKind.failed, "hiveku-relay messages retry"), (.suppressed, "hiveku-relay suppressions remove"),
            (.bounced, "server refused"), (.rejected, "virus"),
        ])
    func theTextSaysWhatToDo(kind: EventKind, words: String) throws {
        let text = ReportText(try report([failed("to@example.net", kind)])).text
        #expect(text.contains("to@example.net") && text.contains(words) && text.contains("relay.example.com"))
        #expect(text.components("\n- ").count == 2, "one piece of advice")
    }

    @Test func equalContentMakesEqualOctets() throws {
        #expect(try report().octets() == report().octets())
    }
}
