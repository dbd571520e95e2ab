import Foundation
import GRDB
import RelayCore

extension SQLiteStore: TemplateStore {
    public func insert(_ template: Template) async throws -> TemplateInsertion {
        try await write { database in
            guard try !TemplateRow.isTaken(template.name, template.owner, in: database) else { return .nameTaken }
            let number =
                try Int.fetchOne(
                    database, sql: "SELECT COUNT(*) FROM template WHERE owner = ?", arguments: [template.owner.stored])
                ?? 0
            guard number < Template.mostOfOwner else { return .tooMany }
            try TemplateRow.insert(template, in: database)
            return .inserted
        }
    }

    public func templates(_ filter: TemplateFilter) async throws -> [TemplateSummary] {
        var conditions = ["1"]
        var arguments: StatementArguments = ["limit": max(filter.limit, 0)]
        if let owner = filter.owner {
            conditions.append("owner = :owner")
            arguments += ["owner": owner.stored]
        }
        if let after = filter.after {
            conditions.append("(owner, name_key) > (:afterOwner, :afterName)")
            arguments += ["afterOwner": after.owner.stored, "afterName": after.nameKey]
        }
        let sql = """
            SELECT template.id, owner, name, template.version, template.created_at, updated_at, created_by, subject
            FROM template \(TemplateRow.latest) WHERE \(conditions.joined(separator: " AND "))
            ORDER BY owner, name_key LIMIT :limit
            """
        return try await read { [arguments] database in
            try Row.fetchAll(database, sql: sql, arguments: arguments).map(TemplateRow.summary)
        }
    }

    public func template(_ reference: TemplateReference, of owner: TemplateOwner?) async throws -> Template? {
        try await read { try TemplateRow.find(reference, owner, in: $0) }
    }

    public func template(named name: String, of owner: TemplateOwner) async throws -> Template? {
        try await read { database in
            try Row.fetchOne(
                database,
                sql: """
                    SELECT \(TemplateRow.columns) FROM template \(TemplateRow.latest)
                    WHERE owner = ? AND name_key = ?
                    """, arguments: [owner.stored, Template.nameKey(name)]
            ).map(TemplateRow.template)
        }
    }

    public func versions(
        of id: TemplateID, before version: Int?, limit: Int
    ) async throws -> [TemplateVersionSummary] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT version, created_at, created_by, subject FROM template_version
                    WHERE template = ? AND version < ? ORDER BY version DESC LIMIT ?
                    """, arguments: [id.text, version ?? .max, max(limit, 0)]
            ).map { row in
                TemplateVersionSummary(
                    version: row["version"], subject: TemplateRow.text(row["subject"]),
                    createdAt: Timestamp(milliseconds: row["created_at"]),
                    createdBy: (row["created_by"] as String?).flatMap { KeyID($0) })
            }
        }
    }

    public func saveTemplate(
        _ id: TemplateID, of owner: TemplateOwner?, by author: KeyID?, now: Timestamp,
        _ change: @escaping @Sendable (inout Template) throws -> Void
    ) async throws -> TemplateSaving {
        try await write { database in
            guard let before = try TemplateRow.find(TemplateReference(id), owner, in: database) else {
                return .notFound
            }
            var wanted = before
            do { try change(&wanted) } catch { return .refused(error) }
            let saved = before.saved(as: wanted, by: author, now: now)
            guard try !TemplateRow.isTaken(saved.name, saved.owner, but: id, in: database) else { return .nameTaken }
            try TemplateRow.write(saved, after: before, in: database)
            return .saved(saved, before: before)
        }
    }

    public func deleteTemplate(_ id: TemplateID, of owner: TemplateOwner?) async throws -> Bool {
        try await write { database in
            try database.execute(
                sql: "DELETE FROM template WHERE id = ? AND \(owner == nil ? "1" : "owner = ?")",
                arguments: StatementArguments([id.text] + (owner.map { [$0.stored] } ?? [])))
            guard database.changesCount == 1 else { return false }
            try database.execute(sql: "DELETE FROM template_version WHERE template = ?", arguments: [id.text])
            return true
        }
    }
}

/// Reads and writes the tables `template` and `template_version`.
private enum TemplateRow {
    /// The columns of a template joined with one of its versions.
    static let columns = """
        template.id, owner, name, template_version.version, template.created_at, template.version AS latest, updated_at,
        template_version.created_at AS saved_at, created_by, subject, variables, sender, reply_to, html, text
        """

    static let latest = """
        JOIN template_version ON template_version.template = template.id AND template_version.version = template.version
        """

    static func text(_ data: Data?) -> String? { data.map { String(decoding: $0, as: UTF8.self) } }

    static func summary(_ row: Row) throws -> TemplateSummary {
        guard let id = TemplateID(row["id"] as String), let owner = TemplateOwner(stored: row["owner"]) else {
            throw unreadable
        }
        return TemplateSummary(
            id: id, owner: owner, name: row["name"], version: row["version"], subject: text(row["subject"]),
            createdAt: Timestamp(milliseconds: row["created_at"]),
            updatedAt: Timestamp(milliseconds: row["updated_at"]),
            createdBy: (row["created_by"] as String?).flatMap { KeyID($0) })
    }

    private static let unreadable = StoreError.corrupt("a template's row can't be read")

    static func template(_ row: Row) throws -> Template {
        guard let id = TemplateID(row["id"] as String), let owner = TemplateOwner(stored: row["owner"]),
            let variables = bytes(row["variables"]).flatMap({ [TemplateVariable](stored: $0) })
        else { throw unreadable }
        let version: Int = row["version"]
        let isLatest = version == row["latest"]
        return Template(
            id: id, owner: owner, name: row["name"], version: version,
            content: TemplateContent(
                subject: text(row["subject"]), html: text(row["html"]), text: text(row["text"]), variables: variables,
                from: row["sender"], replyTo: TagList.tags(row["reply_to"])),
            createdAt: Timestamp(milliseconds: row["created_at"]),
            updatedAt: Timestamp(milliseconds: isLatest ? row["updated_at"] : row["saved_at"]),
            createdBy: (row["created_by"] as String?).flatMap { KeyID($0) })
    }

    static func find(
        _ reference: TemplateReference, _ owner: TemplateOwner?, in database: Database
    ) throws -> Template? {
        let found = try Row.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT \(columns) FROM template JOIN template_version ON template_version.template = template.id
                        AND template_version.version = COALESCE(?, template.version)
                    WHERE template.id = ?
                    """), arguments: [reference.version, reference.id.text]
        ).map(template)
        return found.flatMap { owner == nil || $0.owner == owner ? $0 : nil }
    }

    static func isTaken(
        _ name: String, _ owner: TemplateOwner, but id: TemplateID? = nil, in database: Database
    ) throws -> Bool {
        try Bool.fetchOne(
            database,
            sql: "SELECT EXISTS (SELECT 1 FROM template WHERE owner = ? AND name_key = ? AND id IS NOT ?)",
            arguments: [owner.stored, Template.nameKey(name), id?.text]) ?? false
    }

    static func insert(_ template: Template, in database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO template (id, owner, name, name_key, version, created_at, updated_at)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                template.id.text, template.owner.stored, template.name, Template.nameKey(template.name),
                template.version, template.createdAt.milliseconds, template.updatedAt.milliseconds,
            ])
        try insertVersion(template, in: database)
    }

    private static func insertVersion(_ template: Template, in database: Database) throws {
        func octets(_ text: String?) -> Data? { text.map { Data($0.utf8) } }
        let content = template.content
        try database.execute(
            sql: """
                INSERT INTO template_version (template, version, created_at, created_by, subject, variables, sender,
                    reply_to, html, text)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                template.id.text, template.version, template.updatedAt.milliseconds, template.createdBy?.text,
                octets(content.subject), Data(content.variables.stored), content.from, TagList.text(content.replyTo),
                octets(content.html), octets(content.text),
            ])
    }

    /// Writes the changes of a save.
    static func write(_ saved: Template, after before: Template, in database: Database) throws {
        guard saved != before || !saved.name.utf8.elementsEqual(before.name.utf8) else { return }
        try database.execute(
            sql: "UPDATE template SET name = ?, name_key = ?, version = ?, updated_at = ? WHERE id = ?",
            arguments: [
                saved.name, Template.nameKey(saved.name), saved.version, saved.updatedAt.milliseconds, saved.id.text,
            ])
        guard saved.version != before.version else { return }
        try insertVersion(saved, in: database)
        try database.execute(
            sql: "DELETE FROM template_version WHERE template = ? AND version <= ?",
            arguments: [saved.id.text, saved.version - Template.keptVersions])
    }
}
