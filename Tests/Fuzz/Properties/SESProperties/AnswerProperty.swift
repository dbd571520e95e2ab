import FuzzSupport
import RelayCore

@testable import AWSClient
@testable import SESTransport

extension Property {
    /// Any answer, of SES or of another server in its place, gives records that have a limit, are fit for a terminal
    /// and do not have the secrets of the request. Only a success with an id counts as sent.
    ///
    /// The first line of the input is the status and the error's name in the header; the rest is the body.
    public static let answer = Property("answer") { input in
        let head = String(decoding: input.prefix { $0 != 0x0A }, as: UTF8.self).split(separator: " ", maxSplits: 1)
        let body = Array(input.drop { $0 != 0x0A }.dropFirst())
        let status = head.first.flatMap { Int($0) } ?? 400
        guard 100..<1000 ~= status else { return }
        let headers = head.count > 1 ? [(name: "X-Amzn-ErrorType", value: String(head[1]))] : []
        let answer = SESAnswer(
            HTTPAnswer(status: status, headers: headers, body: body), withholding: [secret])
        try checkWords(answer.message, "the message", input)
        try checkWords(answer.errorName ?? "", "the error's name", input)
        try check(answer.outcome, of: answer, input)
        try checkDocuments(body, input)
    }

    /// A secret of the request. An answer may repeat it.
    private static let secret = "FwoGZXIvYXdzEBY"

    private static func check(_ outcome: DeliveryOutcome, of answer: SESAnswer, _ input: [UInt8]) throws {
        let isSuccess = 200..<300 ~= answer.status
        switch outcome {
        case .sent(let id, _):
            try require(isSuccess, "sent with status \(answer.status): \(shown(input))")
            try require(1...256 ~= id.utf8.count, "an id of \(id.utf8.count) octets: \(shown(input))")
            try require(id.utf8.allSatisfy { 0x21...0x7E ~= $0 }, "an invalid id: \(shown(input))")
        case .simulated: throw Violation("an answer of SES counts as simulated: \(shown(input))")
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _):
            try checkWords(cause.word, "the word", input)
            try checkWords(cause.explanation, "the explanation", input)
            if isSuccess || (answer.status >= 500 && answer.errorName == nil) {
                guard case .retry = outcome, cause.mayHaveBeenTaken else {
                    throw Violation("the outcome counts as certain with status \(answer.status): \(shown(input))")
                }
            }
        }
    }

    private static func checkWords(_ words: String, _ what: String, _ input: [UInt8]) throws {
        try require(!words.contains(secret), "\(what) holds the secret: \(shown(input))")
        try checkForm(words, what, input)
    }

    private static func checkForm(_ words: String, _ what: String, _ input: [UInt8]) throws {
        try require(words.unicodeScalars.count <= 1200, "\(what) is too long: \(shown(input))")
        try require(
            words.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) },
            "\(what) has a control character: \(shown(input))")
    }

    /// Checks the other documents that come with a successful answer over HTTP. They may repeat the secret, because the
    /// service that sends them knows the request anyway.
    private static func checkDocuments(_ body: [UInt8], _ input: [UInt8]) throws {
        if let quota = SendQuota(account: body) {
            try require(quota.maximumRate > 0 && quota.maximumRate.isFinite, "no rate: \(shown(input))")
            try require(quota.maximum24Hours ?? 0 >= 0 && quota.sentLast24Hours >= 0, "no quota: \(shown(input))")
        }
        try checkForm(SESAccountState(document: body)?.enforcement ?? "", "the state", input)
        try checkForm(SESIdentityState(document: body)?.mailFrom?.domain ?? "", "the domain", input)
        switch CredentialsDocument.answer(body, from: "the endpoint") {
        case .found, .absent: break
        // Here the body itself is secret, so only the length of the words is checked.
        case .failed(let words): try require(words.unicodeScalars.count <= 200, "too long: \(shown(input))")
        }
    }
}
