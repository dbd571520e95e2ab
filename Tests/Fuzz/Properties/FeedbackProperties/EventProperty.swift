import FuzzSupport
import RelayCore

@testable import Feedback

extension Property {
    /// Any message of the queue gives records that have a limit and are fit for a terminal. The envelope of SNS changes
    /// nothing about an event.
    public static let event = Property("event") { input in
        let reading = SESEventReader.read(input[...])
        try require(reading == SESEventReader.read(input[...]), "read in two ways: \(shown(input))")
        switch reading {
        case .passedOver: break
        case .unknownKind(let words), .malformed(let words): try checkWords(words, 200, input)
        case .reports(let reports):
            try require(1...SESEventReader.mostRecipients ~= reports.count, "\(reports.count) reports: \(shown(input))")
            for report in reports { try check(report, input) }
            // With raw delivery, the event comes without the envelope of SNS. An event must read the same with the
            // envelope. The envelope gives a time to events that have none.
            let envelope = Array(#"{"Type":"Notification","Message":"#.utf8) + input + Array("}".utf8)
            if input.first == UInt8(ascii: "{"), !String(decoding: input, as: UTF8.self).contains(#""Type""#) {
                let enveloped = SESEventReader.read(envelope[...])
                // In the envelope, the event may be nested too deeply.
                if case .malformed = enveloped { return }
                try require(enveloped == reading, "another event in an envelope: \(shown(input))")
            }
        }
    }

    private static func check(_ report: FeedbackReport, _ input: [UInt8]) throws {
        let id = report.sesMessageID.utf8
        try require(1...256 ~= id.count && id.allSatisfy { 0x21...0x7E ~= $0 }, "an invalid id: \(shown(input))")
        let address = report.recipient.utf8
        try require(
            3...320 ~= address.count && address.contains(UInt8(ascii: "@")) && address.allSatisfy { $0 > 0x20 },
            "an invalid address: \(shown(input))")
        let detail = report.event.detail
        for words in [detail.subtype, detail.diagnostic, detail.server, detail.feedbackID] {
            try checkWords(words ?? "", RecipientEvent.Detail.longestText, input)
        }
        try require(
            (detail.bounceType != nil) == (report.event.kind == .bounced), "a bounce without type: \(shown(input))")
    }

    private static func checkWords(_ words: String, _ limit: Int, _ input: [UInt8]) throws {
        try require(words.count <= limit, "too long: \(shown(input))")
        try require(
            words.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) },
            "a control character: \(shown(input))")
    }
}
