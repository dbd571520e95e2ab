/// The header fields that the preparation knows, and what it does with them. All other fields pass unchanged, in any
/// number.
enum HeaderFieldTable {
    enum Role: Hashable {
        /// The field passes. It may occur only once, because SES refuses it when it occurs twice.
        case once
        /// The field is removed and does not reach SES.
        case removed
        case from, sender, resentSender, subject, date, messageID
        /// These fields are for the relay. They do not reach SES.
        case idempotencyKey, tags, scheduledAt
        /// The field passes. It shows the route of the message (RFC 5321 section 4.4).
        case received
        /// The field passes. It can say that no person waits for a reply (``AutomaticMailField``).
        case automatic(AutomaticMailField)
        /// The field passes. SES parses its addresses (RFC 5322 section 3.6.3).
        case addresses
        /// The field passes. SES parses it.
        case content(ContentField)
    }

    struct Entry {
        /// The name as replies spell it.
        let name: String
        let lowercased: [UInt8]
        let role: Role
        /// The field's bit in ``FieldSet``. Nil when the field may occur more than once.
        let bit: Int?
    }

    /// The fields that SES refuses when they occur twice ("Duplicate header '…'"), in the order of the Amazon SES
    /// Developer Guide, "Amazon SES header fields" (https://docs.aws.amazon.com/ses/latest/dg/header-fields.html).
    /// SES's list also has Return-Path. It is left out here: the relay removes it, so it may occur any number of times.
    ///
    /// This list contains the fields that RFC 5322 section 3.6 allows once (Date, From, Sender, Reply-To, Message-ID,
    /// In-Reply-To, References, Subject), except To, Cc and Bcc. These are left out on purpose. SES accepts several To
    /// and Cc, and applications write one field for each recipient. Nothing depends on these fields, because the
    /// recipients are those of the envelope. Bcc is removed.
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

    /// Resent-Bcc names hidden recipients, as Bcc does (RFC 5322 section 3.6.6).
    private static let removed = ["Bcc", "Resent-Bcc", "Return-Path"]

    /// The prefix of the fields with which a message could change how SES sends it (configuration set, source ARN,
    /// tenant and so on). The operator's settings decide this, not the message.
    static let removedPrefix = Array("x-ses-".utf8)

    private static let list = Array("list-".utf8)

    /// Whether a field is a field of mailing lists (RFC 2369, RFC 2919).
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
            // Several From fields have their own refusal, so From fields are counted instead.
            add(name, role, once: role != .from)
        }
        for name in removed { add(name, .removed, once: false) }
        // Resent-To and Resent-Cc are not listed, because nothing says that SES reads them.
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

    /// The entries by the length of their names, so that a look-up compares only a few names.
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

/// The fields that have been seen, among those that may occur only once. Each field has the bit
/// ``HeaderFieldTable/Entry/bit``.
struct FieldSet {
    private var bits: UInt128 = 0

    /// Adds the field with this bit. Returns false when the field was seen before.
    mutating func insert(_ bit: Int) -> Bool {
        let mask: UInt128 = 1 << UInt128(bit)
        defer { bits |= mask }
        return bits & mask == 0
    }
}
