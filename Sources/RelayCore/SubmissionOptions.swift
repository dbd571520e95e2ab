/// What a client may ask for with a message, beside its envelope and content.
public struct SubmissionOptions: Hashable, Sendable {
    /// Each must satisfy ``MessageTags``.
    public var tags: [String]
    /// When it is to be sent; nil, or a time that has passed: at once. Must satisfy ``Schedule``.
    public var scheduledAt: Timestamp?
    /// How it is known again when the client repeats its request; nil: only by what the message itself says.
    public var idempotency: Idempotency?
    /// What it was made from, with its version; nil: from no template.
    public var template: TemplateReference?

    public init(
        tags: [String] = [], scheduledAt: Timestamp? = nil, idempotency: Idempotency? = nil,
        template: TemplateReference? = nil
    ) {
        self.tags = tags
        self.scheduledAt = scheduledAt
        self.idempotency = idempotency
        self.template = template
    }
}

/// Tells a client's request again, for ``Fingerprint/memory`` after it was accepted.
///
/// Unlike a fingerprint of what the message says, it is the client's own promise: it counts also for a key that has no repeats
/// detected, and for a message that has failed or was cancelled meanwhile.
public struct Idempotency: Hashable, Sendable {
    /// Of the key and the client's idempotency key: ``Fingerprint/init(key:request:part:)``.
    public var request: Fingerprint
    /// Where the request is a batch, that of this email within it; nil where the request is this email.
    public var part: Fingerprint?
    /// 16 octets of a digest of the whole request: two requests with one fingerprint must not differ in it.
    public var content: [UInt8]

    public init(request: Fingerprint, part: Fingerprint? = nil, content: [UInt8]) {
        self.request = request
        self.part = part
        self.content = content
    }
}

/// Which messages count together against a key's daily cap: all of them fit, or none is accepted.
///
/// All members are given to the store in one call.
public struct SubmissionBatch: Hashable, Sendable {
    /// The id of one of its messages, which tells this batch from any other.
    public var first: MessageID
    /// The emails (recipients) of all its messages together.
    public var emails: Int

    public init(first: MessageID, emails: Int) {
        self.first = first
        self.emails = emails
    }
}

/// The rule for the tags of a message.
public enum MessageTags {
    /// Tags of one message at most, as the vendor's API has it.
    public static let maximumCount = 10
    /// Octets of UTF-8 of one tag at most.
    public static let maximumLength = 256

    /// Why `tags` can't be those of a message; nil if they can.
    public static func refusal(of tags: [String]) -> Refusal? {
        if tags.count > maximumCount {
            return Refusal(.invalid, "The message has \(tags.count) tags; give it at most \(maximumCount)")
        }
        for (index, tag) in tags.enumerated() {
            if let fault = fault(of: tag) { return Refusal(.invalid, "Tag \(index + 1) of the message \(fault)") }
        }
        return nil
    }

    /// What is wrong with one tag, as the rest of a sentence whose subject is the tag; nil if nothing is.
    public static func fault(of tag: String) -> String? {
        if tag.isEmpty { return "is empty; leave it out" }
        if tag.utf8.count > maximumLength {
            return "has \(tag.utf8.count) octets; shorten it to at most \(maximumLength)"
        }
        if tag.unicodeScalars.contains(where: isForbidden) {
            return "holds a control character or a line separator; remove it"
        }
        if tag.unicodeScalars.contains("\u{FFFD}") { return "holds octets that are no UTF-8; write it in UTF-8" }
        return nil
    }

    /// Without those that are there twice, in their order.
    public static func unique(_ tags: [String]) -> [String] {
        // By octets: Swift takes two spellings of one character for equal, which a database does not.
        var seen: Set<[UInt8]> = []
        return tags.filter { seen.insert(Array($0.utf8)).inserted }
    }

    private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F, 0x2028, 0x2029: true
        default: false
        }
    }
}

/// The rule for the time at which a message is to be sent.
public enum Schedule {
    /// How far ahead a message may be scheduled.
    public static let longest = Duration.seconds(30 * 86_400)

    /// Why a message can't be scheduled for `time`; nil if it can. A time that has passed means: at once.
    public static func refusal(of time: Timestamp, at now: Timestamp) -> Refusal? {
        guard time > now + longest else { return nil }
        return Refusal(
            .invalid,
            "The message is scheduled for \(time), which is more than 30 days ahead; choose an earlier time")
    }

    /// The time to wait for; nil: send it at once.
    public static func wait(until time: Timestamp?, at now: Timestamp) -> Timestamp? {
        time.flatMap { $0 > now ? $0 : nil }
    }
}
