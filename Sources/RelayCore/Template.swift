/// The id of a template: `tpl_` and 20 characters.
public typealias TemplateID = ResourceID<Template>

/// An email with placeholders, stored under a name.
public struct Template: Hashable, Sendable, IdentifiedResource {
    public static let idPrefix = "tpl_"

    public var id: TemplateID
    /// The owner, which decides which keys see the template (`Key.templateOwner`).
    public var owner: TemplateOwner
    /// The name, in which ``fault(ofName:)`` finds no fault.
    public var name: String
    /// The number of the version, from 1. Each save that changes the content creates the next version.
    public var version: Int
    /// The content of the version `version`.
    public var content: TemplateContent
    /// When the first version was saved.
    public var createdAt: Timestamp
    /// When this version was saved, or the name was changed.
    public var updatedAt: Timestamp
    /// The key that saved this version; nil if an operator did.
    public var createdBy: KeyID?

    public init(
        id: TemplateID, owner: TemplateOwner, name: String, version: Int = 1, content: TemplateContent,
        createdAt: Timestamp, updatedAt: Timestamp, createdBy: KeyID? = nil
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.version = version
        self.content = content
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.createdBy = createdBy
    }

    /// The most templates of one owner.
    public static let mostOfOwner = 1000
    /// The most versions of a template that are kept. The oldest are deleted.
    public static let keptVersions = 200
    /// The most characters (Unicode scalars) of a name.
    public static let longestName = 100

    /// What is wrong with a name, as the rest of a sentence whose subject is the name; nil if nothing is wrong.
    public static func fault(ofName name: String) -> String? {
        let scalars = name.unicodeScalars
        if scalars.isEmpty { return "is empty; choose one" }
        if scalars.count > longestName {
            return "has \(scalars.count) characters; shorten it to at most \(longestName)"
        }
        if scalars.contains(where: { $0.properties.generalCategory == .control || isLineSeparator($0) }) {
            return "contains a control character or a line separator; remove it"
        }
        if scalars.allSatisfy(\.properties.isWhitespace) { return "has only white space; choose another one" }
        if nameKey(name).hasPrefix(idPrefix) { return "begins with \(idPrefix), like an id; choose another one" }
        return nil
    }

    private static func isLineSeparator(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\u{2028}" || scalar == "\u{2029}"
    }

    /// The form in which names are compared: two names of an owner must differ in this form.
    public static func nameKey(_ name: String) -> String { name.lowercased() }
}

/// The owner of templates.
public enum TemplateOwner: Hashable, Sendable {
    /// The relay: the templates of all keys that may send from any domain, and of the operator.
    case shared
    /// A tenant: the templates of a key with a domain allowlist, which sees only these.
    case key(KeyID)
}

extension Key {
    /// The owner of the templates that the key sees, by its present rules.
    public var templateOwner: TemplateOwner { domains.isEmpty ? .shared : .key(id) }
}

/// The way in which a request names a template: by its id, with or without a version.
public struct TemplateReference: Hashable, Sendable, CustomStringConvertible {
    public var id: TemplateID
    /// The number of the version; nil: the latest version.
    public var version: Int?

    public init(_ id: TemplateID, version: Int? = nil) {
        self.id = id
        self.version = version
    }

    /// Reads `tpl_…` or `tpl_…@3`. Nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let id = TemplateID(String(parts[0])) else { return nil }
        self.id = id
        guard parts.count == 2 else { return }
        // At most nine digits, because a version is a 32-bit number in the store.
        guard (1...9).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let version = Int(parts[1]), version > 0, parts[1].utf8.first != 0x30
        else { return nil }
        self.version = version
    }

    public var description: String { version.map { "\(id)@\($0)" } ?? id.text }
}

/// The content of one version of a template.
public struct TemplateContent: Hashable, Sendable {
    /// The subject. It can contain placeholders, like ``html`` and ``text``. Nil: the request must have a subject.
    public var subject: String?
    /// The HTML body. At least one of ``html`` and ``text`` is set.
    public var html: String?
    /// The text body.
    public var text: String?
    /// All variables that the placeholders name, in the order in which they were declared.
    public var variables: [TemplateVariable]
    /// The sender for requests without one: `Name <a@b>` or `a@b`, without placeholders.
    public var from: String?
    /// The Reply-To addresses for requests without their own, in the form of ``from``.
    public var replyTo: [String]

    public init(
        subject: String? = nil, html: String? = nil, text: String? = nil, variables: [TemplateVariable] = [],
        from: String? = nil, replyTo: [String] = []
    ) {
        self.subject = subject
        self.html = html
        self.text = text
        self.variables = variables
        self.from = from
        self.replyTo = replyTo
    }

    /// The most octets of ``html``, and of ``text``.
    public static let longestBody = 1 << 20
    /// The most octets of ``subject``.
    public static let longestSubject = 4096
    /// The most elements of ``variables``.
    public static let mostVariables = 200
    /// The most placeholders in subject, html and text together.
    public static let mostPlaceholders = 1000
    /// The most addresses in ``replyTo``.
    public static let mostReplyTo = 50
    /// The most octets of ``from``, and of each address in ``replyTo``.
    public static let longestAddress = 1000
}
