/// What happens to lines of more than 998 octets without CRLF, the limit of RFC 5322 section 2.1.1 and of SES.
public enum LongLines: String, Hashable, Sendable, CaseIterable {
    /// CRLF and a space are inserted after each 998 octets. The space counts as part of the line that it begins.
    case fold
    case refuse
}

/// The operator's settings for ``MessagePreparation``.
public struct PreparationPolicy: Hashable, Sendable {
    /// What happens to lines that are too long.
    public var longLines: LongLines
    /// The largest header section that is accepted, in octets with its empty line. It is kept in memory until it is
    /// complete.
    public var maximumHeaderSize: Int
    /// Whether ``PreparationContext/received`` is added.
    public var addReceived: Bool
    /// The file name endings that attachments may not have.
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

/// The values that a preparation may add to one message. The caller provides them, so the preparation needs no clock
/// and no random numbers.
public struct PreparationContext: Hashable, Sendable {
    /// The whole body of the Received field (RFC 5321 section 4.4), without its name. It may contain folds of CRLF and
    /// a blank. Nil when no field is added.
    public var received: String?
    /// The date-time (RFC 5322 section 3.3) for a message without Date.
    public var date: String
    /// The msg-id, `<…@…>`, for a message without Message-ID.
    public var messageID: String
    /// The text by which the relay's own Received fields are recognised, such as `by relay.example (Hiveku Relay)`.
    /// With it, a mail loop is found early. Without it, only the number of all Received fields counts.
    public var relayClause: String?

    public init(received: String?, date: String, messageID: String, relayClause: String? = nil) {
        self.received = received
        self.date = date
        self.messageID = messageID
        self.relayClause = relayClause
    }
}

/// Why a message is refused. Each explanation can be logged and sent to a client: it is printable ASCII and quotes only
/// little of the message. Only `address`, `mime` and `attachment` quote anything.
public enum MessageRejection: Error, Hashable, Sendable {
    /// From is missing, occurs more than once, or contains no mailbox or more than one. Or From, Sender, Resent-From or
    /// Resent-Sender can be read in two ways. The sentence says what is wrong.
    case from(String)
    /// A field occurs twice, although SES accepts only one. The name is spelt as in `HeaderFieldTable`.
    case duplicateField(name: String)
    /// The header section has more than `limit` octets.
    case headerTooLarge(limit: Int)
    /// A line has more than `limit` octets without its CRLF, and the policy is to refuse such lines.
    case lineTooLong(limit: Int)
    /// The header section can be read in two ways, or Hiveku-Idempotency-Key has an invalid value. The sentence names
    /// the line or the field, and says what is wrong.
    case malformedHeader(String)
    /// SES's parser would not accept To, Cc, Reply-To, Sender, Resent-From or Resent-Sender. The sentence names the
    /// field and says what to write.
    case address(String)
    /// SES's parser would not accept a Content-* field of the message or of a part. The sentence names the field and
    /// the part.
    case mime(String)
    /// The name of an attached file has one of the endings in ``PreparationPolicy/refusedAttachments``. The sentence
    /// names the file and the ending.
    case attachment(String)
    /// The message is in a mail loop. The sentence says how often it has passed this relay, or how many Received fields
    /// it has.
    case loop(String)
    /// Hiveku-Tags or Hiveku-Scheduled-At has an invalid value. These fields are instructions to the relay. The
    /// sentence says how to write the field.
    case relayField(String)

    /// A plain ASCII sentence, without a full stop, that tells the developer of the sending application what to change.
    public var explanation: String {
        switch self {
        case .from(let text), .malformedHeader(let text), .address(let text), .mime(let text), .attachment(let text),
            .loop(let text), .relayField(let text):
            text
        // Hiveku- fields are instructions to the relay. They never reach SES.
        case .duplicateField(let name) where name.hasPrefix("Hiveku-"):
            "The message has more than one \(name) field; write it once"
        case .duplicateField(let name): "The message has more than one \(name) field; SES accepts at most one"
        case .headerTooLarge(let limit): "The header section of the message is larger than \(limit) octets"
        case .lineTooLong(let limit): "The message has a line of more than \(limit) octets; break it with CRLF"
        }
    }
}

/// What the header section of a prepared message says.
public struct HeaderSummary: Hashable, Sendable {
    /// The one mailbox of the one From field. Its domain is always a name.
    public var from: AddrSpec
    /// The mailboxes of Sender, Resent-From and Resent-Sender, in the order of the message. Each must be on the
    /// allowlist, as `from` must, because mail clients show them as the sender ("sent by", "on behalf of", "redirected
    /// by").
    public var senders: [AddrSpec]
    /// The domains of texts in the display names and comments of From, Sender, Resent-From and Resent-Sender that some
    /// mail program could show as the author's address. The domain of the field's own address is not among them. A
    /// domain in a quoted name that no program reads as an address is not among them either. Each of these domains must
    /// be on the allowlist too.
    public var otherAuthors: [DomainName]
    /// Says why mail programs could disagree about who the author is. Nil when they agree. If it is not nil, the
    /// message is refused for a key with an allowlist, whatever is on the list.
    public var ambiguity: MessageRejection?
    /// The Subject in a form for lists and logs; nil when the message has none. Encoded words are decoded (RFC 2047),
    /// control characters are replaced, and there are at most 200 characters. Do not base decisions on this text.
    public var subject: String?
    /// The Message-ID as sent, trimmed. Nil when the message had none, or when the field was not `<left@right>` of at
    /// most 998 octets.
    public var messageID: String?
    /// Whether the message is an automatic reply, a report or from a mailing list, so that no failure report is sent by
    /// mail (RFC 3834 section 2). True with Auto-Submitted other than `no`, any List-* field, Precedence `bulk`, `junk`
    /// or `list`, X-Auto-Response-Suppress with `NDR` or `All`, or the type multipart/report.
    public var isAutomatic = false
    /// The body of the field Hiveku-Idempotency-Key: 1 to 256 printable ASCII characters. The field is removed from the
    /// message.
    public var idempotencyKey: String?
    /// The tags of the field Hiveku-Tags, with encoded words decoded. Their number and length have not been checked.
    /// The field is removed from the message.
    public var tags: [String]
    /// The body of the field Hiveku-Scheduled-At, trimmed: 1 to 200 ASCII characters. The field is removed from the
    /// message.
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

    /// Adds the authors that mail programs could find in one of the fields.
    mutating func add(_ field: MailboxField) {
        for domain in field.otherAuthors where !otherAuthors.contains(domain) { otherAuthors.append(domain) }
        if ambiguity == nil { ambiguity = field.ambiguity.map { .from($0) } }
    }
}
