/// What is done about lines over 998 octets without CRLF, the limit of RFC 5322 section 2.1.1 and of SES.
public enum LongLines: String, Hashable, Sendable, CaseIterable {
    /// CRLF and a space are inserted after 998 octets, and so on; the space counts toward the line that it begins.
    case fold
    case refuse
}

/// The operator's choices for ``MessagePreparation``.
public struct PreparationPolicy: Hashable, Sendable {
    public var longLines: LongLines
    /// The largest header section taken, in octets with its empty line. This is also what a preparation holds in memory.
    public var maximumHeaderSize: Int
    /// Whether ``PreparationContext/received`` is added.
    public var addReceived: Bool
    /// The endings of file names that no attachment may have.
    public var refusedAttachments: AttachmentEndings

    public init(
        longLines: LongLines = .fold, maximumHeaderSize: Int = 256 * 1024, addReceived: Bool = true,
        refusedAttachments: AttachmentEndings = .ses
    ) {
        self.longLines = longLines
        self.maximumHeaderSize = maximumHeaderSize
        self.addReceived = addReceived
        self.refusedAttachments = refusedAttachments
    }
}

/// What a preparation may add to one message. The caller makes it: no clock and no randomness in here.
public struct PreparationContext: Hashable, Sendable {
    /// The whole body of the Received field (RFC 5321 section 4.4), without name; may hold folds of CRLF and blank. Nil: none is added.
    public var received: String?
    /// The date-time of RFC 5322 section 3.3 for a message without Date.
    public var date: String
    /// The msg-id, `<…@…>`, for a message without Message-ID.
    public var messageID: String
    /// What tells the relay's own Received fields from others, such as `by relay.example (Hiveku Relay)`: with it a mail
    /// loop is seen early. Nil: only the number of all Received fields counts.
    public var relayClause: String?

    public init(received: String?, date: String, messageID: String, relayClause: String? = nil) {
        self.received = received
        self.date = date
        self.messageID = messageID
        self.relayClause = relayClause
    }
}

/// Why a message is refused. Each can be logged and sent to a client: it is printable ASCII, and what it quotes of the message
/// is short. Only `address`, `mime` and `attachment` quote anything.
public enum MessageRejection: Error, Hashable, Sendable {
    /// From is missing, doubled, or holds no mailbox or more than one; or one of From, Sender, Resent-From and Resent-Sender can be
    /// read in two ways. The sentence says what is wrong.
    case from(String)
    /// A field that SES takes once stands there twice. The name is spelt as in `HeaderFieldTable`.
    case duplicateField(name: String)
    /// The header section is over the limit, in octets.
    case headerTooLarge(limit: Int)
    /// A line is over the limit, in octets without CRLF, and the policy is not to fold.
    case lineTooLong(limit: Int)
    /// The header section can be read in two ways; the sentence says in which line, and what is wrong.
    case malformedHeader(String)
    /// To, Cc or Reply-To is none that SES's parser takes; the sentence names the field and what to write.
    case address(String)
    /// A Content-* field of the message or of a part is none that SES's parser takes; the sentence names field and part.
    case mime(String)
    /// An attached file's name has an ending that SES refuses; the sentence names the file and the ending.
    case attachment(String)
    /// The message goes around in circles; the sentence says how often it has passed.
    case loop(String)
    /// A field that is meant for the relay itself can't be read; the sentence says how to write it.
    case relayField(String)

    /// A plain ASCII sentence that tells the developer of the sending application what to change, without final stop.
    public var explanation: String {
        switch self {
        case .from(let text), .malformedHeader(let text), .address(let text), .mime(let text), .attachment(let text),
            .loop(let text), .relayField(let text):
            text
        // Fields for the relay itself never reach SES.
        case .duplicateField(let name) where name.hasPrefix("Hiveku-"):
            "The message has more than one \(name) field; write it once"
        case .duplicateField(let name): "The message has more than one \(name) field; SES takes one at most"
        case .headerTooLarge(let limit): "The header section of the message is larger than \(limit) octets"
        case .lineTooLong(let limit): "The message has a line of more than \(limit) octets; break it with CRLF"
        }
    }
}

/// What the header section of a prepared message says.
public struct HeaderSummary: Hashable, Sendable {
    /// The one mailbox of the one From field. Its domain is always a name.
    public var from: AddrSpec
    /// The mailboxes of Sender, Resent-From and Resent-Sender, in the order of the message. Each needs the allowlist as
    /// `from` does: mail clients show them as the sender ("sent by", "on behalf of", "redirected by").
    public var senders: [AddrSpec]
    /// Further domains of which some reader of From, Sender, Resent-From or Resent-Sender could take an address for the author's,
    /// in their display names. Each needs the allowlist too.
    public var otherAuthors: [DomainName]
    /// Why it can't be known whom all readers take for the author; nil when it can. No allowlist covers that.
    public var ambiguity: MessageRejection?
    /// The Subject for lists: encoded words decoded (RFC 2047), controls replaced, at most 200 characters. Not for a decision.
    public var subject: String?
    /// The Message-ID as sent, trimmed; nil when the message had none, or one that is no `<left@right>` of at most 998 octets.
    public var messageID: String?
    /// It is an automatic reply, a report or from a list, so that nobody is told by mail that it failed (RFC 3834 section 2). True
    /// with Auto-Submitted other than `no`, any List-* field, Precedence `bulk`, `junk` or `list`, X-Auto-Response-Suppress with
    /// `NDR` or `All`, or the type multipart/report.
    public var isAutomatic = false
    /// The body of the field Hiveku-Idempotency-Key, 1 to 256 printable ASCII characters. The field is no longer in the message.
    public var idempotencyKey: String?
    /// The tags of the field Hiveku-Tags, as they stand there, decoded: any number of any length. The field is no longer in the
    /// message.
    public var tags: [String]
    /// The body of the field Hiveku-Scheduled-At, trimmed: 1 to 200 ASCII characters. The field is no longer in the message.
    public var scheduledAt: String?

    public init(
        from: AddrSpec, senders: [AddrSpec] = [], otherAuthors: [DomainName] = [], ambiguity: MessageRejection? = nil,
        subject: String? = nil, messageID: String? = nil, idempotencyKey: String? = nil, tags: [String] = [],
        scheduledAt: String? = nil
    ) {
        self.from = from
        self.senders = senders
        self.otherAuthors = otherAuthors
        self.ambiguity = ambiguity
        self.subject = subject
        self.messageID = messageID
        self.idempotencyKey = idempotencyKey
        self.tags = tags
        self.scheduledAt = scheduledAt
    }

    /// Adds whom readers could find in one of the fields.
    mutating func add(_ field: MailboxField) {
        for domain in field.otherAuthors where !otherAuthors.contains(domain) { otherAuthors.append(domain) }
        if ambiguity == nil { ambiguity = field.ambiguity.map { .from($0) } }
    }
}
