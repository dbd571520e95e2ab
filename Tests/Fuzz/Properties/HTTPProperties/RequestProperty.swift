import FuzzSupport
import MessageComposition
import RelayCore
import StrictJSON

@testable import HTTPServer

extension Property {
    /// The body of a request gives emails within the limits, or a few mistakes. Each mistake has a place in the
    /// document and words that are fit for a client. The same email with its members in another order has the same
    /// digest.
    public static let request = Property("request") { input in
        guard let document = try? JSON(reading: input) else { return }
        try check(
            Result { () throws(EmailRequestFailure) in
                try EmailRequest(document, idempotencyKey: nil, context)
            }, input)
        let batch = Result { () throws(EmailRequestFailure) in
            try EmailBatch(document, idempotencyKey: nil, context)
        }
        switch batch {
        case .success(let batch):
            try require(EmailBatch.sizes.contains(batch.items.count), "\(batch.items.count) emails: \(shown(input))")
            for item in batch.items { try check(item, input) }
        case .failure(let failure): try check(failure, input)
        }
        if case .object(let object) = document {
            let reversed = JSON.object(JSONObject(object.members.reversed()))
            try require(reversed.digest() == document.digest(), "two digests: \(shown(input))")
        }
    }

    private static let context = EmailRequest.Context(
        now: Timestamp(milliseconds: 1_795_824_000_000), maximumRecipients: 3)

    private static func check(_ result: Result<EmailRequest, EmailRequestFailure>, _ input: [UInt8]) throws {
        switch result {
        case .success(let request): try check(request, input)
        case .failure(let failure): try check(failure, input)
        }
    }

    private static func check(_ request: EmailRequest, _ input: [UInt8]) throws {
        let email = request.email
        let recipients = Set((email.to + email.cc + email.bcc).map(\.address))
        try require(
            !email.to.isEmpty && recipients.count <= context.maximumRecipients, "\(recipients): \(shown(input))")
        try require(MessageTags.refusal(of: request.tags) == nil, "\(request.tags): \(shown(input))")
        try require(email.defects().isEmpty, "an email that can't be composed: \(shown(input))")
        if let time = request.scheduledAt {
            try require(Schedule.refusal(of: time, at: context.now) == nil, "\(time): \(shown(input))")
        }
        if let key = request.idempotency?.key {
            try require((1...256).contains(key.text.utf8.count), "the key \(key): \(shown(input))")
        }
    }

    private static func check(_ failure: EmailRequestFailure, _ input: [UInt8]) throws {
        guard case .invalid(let errors) = failure else {
            throw Violation("different idempotency keys, although no header has one: \(shown(input))")
        }
        try require(
            (1...(ValidationErrors.limit + 1)).contains(errors.count), "\(errors.count) mistakes: \(shown(input))")
        for error in errors {
            try checkWords(error.detail, input)
            try require(error.detail.hasSuffix(".") || error.detail.hasSuffix("?"), "not a sentence: \(error.detail)")
            let fragment = error.pointer.fragment
            try require(
                fragment.utf8.allSatisfy { (0x21...0x7E).contains($0) } && fragment.utf8.count <= 2000,
                "the place \(fragment.debugDescription): \(shown(input))")
        }
    }
}
