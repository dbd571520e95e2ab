/// What the preparation does with the header fields it knows. Every other field passes as it is, in any number.
enum HeaderFieldTable {
    enum Role: Hashable {
        /// Passes; at most one, because SES says so.
        case once
        /// Does not reach SES.
        case removed
        case from, sender, resentSender, subject, date, messageID
        /// For the relay alone; does not reach SES.
        case idempotencyKey, tags, scheduledAt
        /// Passes; says which way the message came (RFC 5321 section 4.4).
        case received
        /// Passes; tells that no person waits for an answer (``AutomaticMailField``).
        case automatic(AutomaticMailField)
        /// Passes; SES parses its addresses (RFC 5322 section 3.6.3).
        case addresses
        /// Passes; SES parses it.
        case content(ContentField)
    }

    struct Entry {
        /// As spelt in replies.
        let name: String
        let lowercased: [UInt8]
        let role: Role
        /// Place in the set of fields seen; nil where the field may stand more than once.
        let bit: Int?
    }

    /// The fields that SES refuses when they stand in a message twice ("Duplicate header '…'"): Amazon SES Developer Guide,
    /// "Amazon SES header fields" (https://docs.aws.amazon.com/ses/latest/dg/header-fields.html), in its order. Return-Path,
    /// which is in the list too, is removed here, so any number of it does no harm.
    ///
    /// The list covers what RFC 5322 section 3.6 takes once (Date, From, Sender, Reply-To, Message-ID, In-Reply-To,
    /// References, Subject), but for To, Cc and Bcc. Those stay out on purpose: SES takes several To and Cc, applications
    /// send one field for each recipient, and nothing hangs on them, since the recipients are the envelope's; Bcc is removed.
    private static let sesOnce = [
        "Accept-Language", "acceptLanguage", "Archived-At", "Auto-Submitted", "Bounces-to", "Comments",
        "Content-Alternative", "Content-Base", "Content-Class", "Content-Description", "Content-Disposition",
        "Content-Duration", "Content-ID", "Content-Language", "Content-Length", "Content-Location", "Content-MD5",
        "Content-Transfer-Encoding", "Content-Type", "Date", "Delivered-To", "Disposition-Notification-Options",
        "Disposition-Notification-To", "DKIM-Signature", "DomainKey-Signature", "Errors-To", "From", "Importance",
        "In-Reply-To", "Keywords", "List-Archive", "List-Help", "List-Id", "List-Owner", "List-Post", "List-Subscribe",
        "List-Unsubscribe", "List-Unsubscribe-Post", "Message-Context", "Message-ID", "MIME-Version", "Organization",
        "Original-From", "Original-Message-ID", "Original-Recipient", "Original-Subject", "Precedence", "Priority",
        "References", "Reply-To", "Return-Receipt-To", "Sender", "Solicitation", "Sensitivity", "Subject",
        "Thread-Index", "Thread-Topic", "User-Agent", "VBR-Info",
    ]

    /// Resent-Bcc names blind recipients as Bcc does (RFC 5322 section 3.6.6).
    private static let removed = ["Bcc", "Resent-Bcc", "Return-Path"]

    /// The fields of Amazon SES that change how it sends (configuration set, source ARN, tenant and so on): who may use
    /// which is for the operator's settings to say, not for the message.
    static let removedPrefix = Array("x-ses-".utf8)

    private static let list = Array("list-".utf8)

    /// Whether a field is one of a mailing list (RFC 2369, RFC 2919).
    static func isOfList(_ name: ArraySlice<UInt8>) -> Bool { matches(name.prefix(list.count), list) }

    private static let entries: [Entry] = {
        var entries: [Entry] = []
        var bits = 0
        func add(_ name: String, _ role: Role, once: Bool) {
            entries.append(
                Entry(
                    name: name, lowercased: name.utf8.map(\.asciiLowercased), role: role, bit: once ? bits : nil))
            if once { bits += 1 }
        }
        for name in sesOnce {
            let role: Role =
                switch name {
                case "From": .from
                case "Sender": .sender
                case "Subject": .subject
                case "Date": .date
                case "Message-ID": .messageID
                case "Reply-To": .addresses
                case "Auto-Submitted": .automatic(.autoSubmitted)
                case "Precedence": .automatic(.precedence)
                default: ContentField(name: name.utf8).map(Role.content) ?? .once
                }
            // From has its own answer for more than one, so it is counted, not marked.
            add(name, role, once: role != .from)
        }
        for name in removed { add(name, .removed, once: false) }
        // Not Resent-To and Resent-Cc: nothing says that SES reads them.
        add("To", .addresses, once: false)
        add("Cc", .addresses, once: false)
        add("Received", .received, once: false)
        add("X-Auto-Response-Suppress", .automatic(.autoResponseSuppress), once: false)
        add("Resent-From", .resentSender, once: false)
        add("Resent-Sender", .resentSender, once: false)
        add("Hiveku-Idempotency-Key", .idempotencyKey, once: true)
        add("Hiveku-Tags", .tags, once: true)
        add("Hiveku-Scheduled-At", .scheduledAt, once: true)
        return entries
    }()

    /// By length of the name, so that a look-up compares only a few names.
    private static let byLength: [[Entry]] = {
        var table = [[Entry]](repeating: [], count: (entries.map(\.lowercased.count).max() ?? 0) + 1)
        for entry in entries { table[entry.lowercased.count].append(entry) }
        return table
    }()

    static func entry(_ name: ArraySlice<UInt8>) -> Entry? {
        guard name.count < byLength.count else { return nil }
        for entry in byLength[name.count] where matches(name, entry.lowercased) { return entry }
        return nil
    }

    static func isRemovedByPrefix(_ name: ArraySlice<UInt8>) -> Bool {
        matches(name.prefix(removedPrefix.count), removedPrefix)
    }

    private static func matches(_ name: ArraySlice<UInt8>, _ lowercased: [UInt8]) -> Bool {
        guard name.count == lowercased.count else { return false }
        var index = name.startIndex
        for byte in lowercased {
            guard name[index].asciiLowercased == byte else { return false }
            index += 1
        }
        return true
    }
}

/// The fields seen so far of those that may stand once: bits by ``HeaderFieldTable/Entry/bit``.
struct FieldSet {
    private var bits: UInt128 = 0

    /// False when the field had been seen.
    mutating func insert(_ bit: Int) -> Bool {
        let mask: UInt128 = 1 << UInt128(bit)
        defer { bits |= mask }
        return bits & mask == 0
    }
}
