/// A template as lists show it: without its content, which may be large.
public struct TemplateSummary: Hashable, Sendable {
    public var id: TemplateID
    /// The owner, which decides which keys see the template (`Key.templateOwner`).
    public var owner: TemplateOwner
    /// The name, in which `Template.fault(ofName:)` finds no fault.
    public var name: String
    /// The latest version.
    public var version: Int
    /// The subject of the latest version, with its placeholders; nil if that version has none.
    public var subject: String?
    /// When the first version was saved.
    public var createdAt: Timestamp
    /// When the latest version was saved, or the name was changed.
    public var updatedAt: Timestamp
    /// The key that saved the latest version; nil if an operator did.
    public var createdBy: KeyID?

    public init(
        id: TemplateID, owner: TemplateOwner, name: String, version: Int, subject: String?, createdAt: Timestamp,
        updatedAt: Timestamp, createdBy: KeyID?
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.version = version
        self.subject = subject
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.createdBy = createdBy
    }

    /// The summary of this template, without its content.
    public init(_ template: Template) {
        self.init(
            id: template.id, owner: template.owner, name: template.name, version: template.version,
            subject: template.content.subject, createdAt: template.createdAt, updatedAt: template.updatedAt,
            createdBy: template.createdBy)
    }
}

/// A version of a template as lists show it.
public struct TemplateVersionSummary: Hashable, Sendable {
    /// The number of the version, from 1.
    public var version: Int
    /// The subject of this version, with its placeholders; nil if it has none.
    public var subject: String?
    /// When this version was saved.
    public var createdAt: Timestamp
    /// The key that saved it; nil if an operator did.
    public var createdBy: KeyID?

    public init(version: Int, subject: String?, createdAt: Timestamp, createdBy: KeyID?) {
        self.version = version
        self.subject = subject
        self.createdAt = createdAt
        self.createdBy = createdBy
    }
}

/// Selects templates.
public struct TemplateFilter: Hashable, Sendable {
    /// Only templates of this owner; nil: of all owners.
    public var owner: TemplateOwner?
    /// Only templates after this position, in the order of the list. To get the next page, use the last template of
    /// this page.
    public var after: Place?
    /// The most templates that are returned, from 1.
    public var limit: Int

    /// A template's position in the list. The position stays valid when the template is renamed or deleted.
    public struct Place: Hashable, Sendable {
        /// The owner of the template. Lists are sorted by owner first.
        public var owner: TemplateOwner
        /// The ``Template/nameKey(_:)`` of the template's name.
        public var nameKey: String

        /// The position of this template in the list.
        public init(_ template: TemplateSummary) {
            owner = template.owner
            nameKey = Template.nameKey(template.name)
        }

        public init(owner: TemplateOwner, nameKey: String) {
            self.owner = owner
            self.nameKey = nameKey
        }
    }

    public init(owner: TemplateOwner? = nil, after: Place? = nil, limit: Int = 100) {
        self.owner = owner
        self.after = after
        self.limit = limit
    }
}

/// The outcome of a request to add a template.
public enum TemplateInsertion: Hashable, Sendable {
    case inserted
    /// The owner has another template with this name; upper and lower case are not distinguished.
    case nameTaken
    /// The owner already has ``Template/mostOfOwner`` templates.
    case tooMany
}

/// The outcome of a request to save a template.
public enum TemplateSaving: Sendable {
    /// The template after and before the save. Both are the same if nothing changed.
    case saved(Template, before: Template)
    case nameTaken
    case notFound
    /// The error that the change threw. Nothing was written.
    case refused(any Error)
}

/// Templates and their versions. A query for one owner's template never finds that of another owner.
public protocol TemplateStore: Sendable {
    /// Adds a template as its version 1.
    func insert(_ template: Template) async throws -> TemplateInsertion
    /// The templates: shared ones first, then the others by the id of the key that owns them. The templates of one
    /// owner are in the order of ``Template/nameKey(_:)``, compared octet by octet.
    func templates(_ filter: TemplateFilter) async throws -> [TemplateSummary]
    /// A template in the named version, or in the latest. Nil if there is none, or if the version is no longer kept.
    ///
    /// - Parameter owner: the owner that the template must have; nil: any.
    func template(_ reference: TemplateReference, of owner: TemplateOwner?) async throws -> Template?
    /// The latest version of the template with this name; upper and lower case are not distinguished. Nil if there is
    /// none.
    func template(named name: String, of owner: TemplateOwner) async throws -> Template?
    /// At most `limit` kept versions below `version`, newest first; nil: from the latest.
    func versions(
        of id: TemplateID, before version: Int?, limit: Int
    ) async throws -> [TemplateVersionSummary]
    /// Changes the name and content of the latest version, starting from what is stored at that moment. A changed
    /// content creates the next version. If there are then more than ``Template/keptVersions``, the oldest is deleted.
    /// All of this is one transaction.
    ///
    /// - Parameters:
    ///   - owner: the owner that the template must have; nil: any.
    ///   - author: the key that saves; nil: an operator.
    ///   - change: must have no side effects, because it may run more than once. Only its changes of name and content
    ///     are used.
    func saveTemplate(
        _ id: TemplateID, of owner: TemplateOwner?, by author: KeyID?, now: Timestamp,
        _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async throws -> TemplateSaving
    /// Deletes a template with all its versions. Returns false if there was none.
    ///
    /// - Parameter owner: the owner that the template must have; nil: any.
    func deleteTemplate(_ id: TemplateID, of owner: TemplateOwner?) async throws -> Bool
}

extension Template {
    /// The result of saving this template.
    ///
    /// - Parameter wanted: this template with another name or content.
    public func saved(as wanted: Template, by author: KeyID?, now: Timestamp) -> Template {
        var saved = self
        // Names are compared by their octets: Swift treats two spellings of one character as equal.
        let isRenamed = !name.utf8.elementsEqual(wanted.name.utf8)
        guard isRenamed || content != wanted.content || !content.isSpelled(as: wanted.content) else { return saved }
        saved.name = wanted.name
        saved.updatedAt = now
        guard content != wanted.content || !content.isSpelled(as: wanted.content) else { return saved }
        saved.content = wanted.content
        saved.version += 1
        saved.createdBy = author
        return saved
    }
}

extension TemplateContent {
    fileprivate func isSpelled(as other: TemplateContent) -> Bool {
        func same(_ one: String?, _ other: String?) -> Bool {
            one.map { Array($0.utf8) } == other.map { Array($0.utf8) }
        }
        return same(subject, other.subject) && same(html, other.html) && same(text, other.text)
            && same(from, other.from) && zip(replyTo, other.replyTo).allSatisfy { same($0, $1) }
            && variables.stored == other.variables.stored
    }
}

extension TemplateOwner {
    /// The text in a store: the key's id; empty for shared templates.
    package var stored: String {
        switch self {
        case .shared: ""
        case .key(let id): id.text
        }
    }

    /// Reads ``stored``. Nil for any other text.
    package init?(stored: String) {
        if stored.isEmpty {
            self = .shared
        } else {
            guard let id = KeyID(stored) else { return nil }
            self = .key(id)
        }
    }
}
