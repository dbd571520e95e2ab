/// The options that a client may give with a message, in addition to its envelope and content.
public struct SubmissionOptions: Hashable, Sendable {
    /// The tags. Each must satisfy ``MessageTags``.
    public var tags: [String]
    /// When the message is to be sent. Nil, or a time in the past: at once. Must satisfy ``Schedule``.
    public var scheduledAt: Timestamp?
    /// How a repeated request of the client is recognised. Nil: only by the message itself.
    public var idempotency: Idempotency?
    /// The template that the message was made from, with its version; nil: none.
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

/// Identifies a client's repeated request, for ``Fingerprint/memory`` after the first one was accepted.
///
/// The client says which requests are the same, whatever their messages contain. So a repeated request is recognised
/// even if the API key does not detect repeats, and even if the message has failed or been cancelled since.
public struct Idempotency: Hashable, Sendable {
    /// The fingerprint of the key and the client's idempotency key: ``Fingerprint/init(key:request:part:)``.
    public var request: Fingerprint
    /// The fingerprint of this email within a batch; nil if the request is for this email alone.
    public var part: Fingerprint?
    /// 16 octets of a digest of the whole request. Two requests with the same fingerprint must have the same digest.
    public var content: [UInt8]

    public init(request: Fingerprint, part: Fingerprint? = nil, content: [UInt8]) {
        self.request = request
        self.part = part
        self.content = content
    }
}

/// The messages that count together against a key's daily cap: either all of them fit, or none is accepted.
///
/// All members must be passed to the store in one call.
public struct SubmissionBatch: Hashable, Sendable {
    /// The id of one of the batch's messages, which identifies the batch.
    public var first: MessageID
    /// The emails (recipients) of all messages of the batch together.
    public var emails: Int

    public init(first: MessageID, emails: Int) {
        self.first = first
        self.emails = emails
    }
}

/// The rules for the tags of a message.
public enum MessageTags {
    /// The most tags of one message, as in the vendor's API.
    public static let maximumCount = 10
    /// The most octets of one tag, in UTF-8.
    public static let maximumLength = 256

    /// Why a message can't have these `tags`; nil if it can.
    public static func refusal(of tags: [String]) -> Refusal? {
        if tags.count > maximumCount {
            return Refusal(.invalid, "The message has \(tags.count) tags; give it at most \(maximumCount)")
        }
        for (index, tag) in tags.enumerated() {
            if let fault = fault(of: tag) { return Refusal(.invalid, "Tag \(index + 1) of the message \(fault)") }
        }
        return nil
    }

    /// The mistake in a tag, as the rest of a sentence whose subject is the tag. Nil if the tag is valid.
    public static func fault(of tag: String) -> String? {
        if tag.isEmpty { return "is empty; leave it out" }
        if tag.utf8.count > maximumLength {
            return "has \(tag.utf8.count) octets; shorten it to at most \(maximumLength)"
        }
        if tag.unicodeScalars.contains(where: isForbidden) {
            return "contains a control character or a line separator; remove it"
        }
        if tag.unicodeScalars.contains("\u{FFFD}") { return "contains octets that are not UTF-8; encode it in UTF-8" }
        return nil
    }

    /// The tags in their order, without duplicates.
    public static func unique(_ tags: [String]) -> [String] {
        // Tags are compared by octets. Swift treats two spellings of one character as equal, but a database does not.
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

/// The rules for the time at which a message is to be sent.
public enum Schedule {
    /// How far ahead a message may be scheduled.
    public static let longest = Duration.seconds(30 * 86_400)

    /// Why a message can't be scheduled for `time`; nil if it can. A time in the past means: at once.
    public static func refusal(of time: Timestamp, at now: Timestamp) -> Refusal? {
        guard time > now + longest else { return nil }
        return Refusal(
            .invalid,
            "The message is scheduled for \(time), which is more than 30 days ahead; choose an earlier time")
    }

    /// The time to wait for; nil: send the message at once.
    public static func wait(until time: Timestamp?, at now: Timestamp) -> Timestamp? {
        time.flatMap { $0 > now ? $0 : nil }
    }
}
