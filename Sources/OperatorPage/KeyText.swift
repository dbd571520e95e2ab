import HTTPServer
import RelayCore

/// The text that names a key in a filter or a form: its public id, alone or after `hk_live_`, or its name.
enum KeyText {
    enum Finding {
        /// The field was empty.
        case none
        case key(KeyID)
        case mistake(FormMistake)
    }

    /// An id as the page writes it: `AbCdEfGh`, or `hk_live_AbCdEfGh…`.
    static func id(_ text: String) -> KeyID? {
        var plain = text.prefix { $0 != "…" }
        for prefix in ["hk_live_", "hk_test_"] where plain.hasPrefix(prefix) { plain = plain.dropFirst(prefix.count) }
        return KeyID(String(plain))
    }

    static func find(_ text: String, _ page: OperatorPage, now: Timestamp) async throws -> Finding {
        guard !text.isEmpty else { return .none }
        if let id = id(text), try await page.store.keyRecord(id, now: now) != nil { return .key(id) }
        let filter = KeyFilter(text: String(text.prefix(100)), includesRevoked: true, limit: 20)
        let (store, asked) = (page.store, filter)
        let found = try await page.turns.with(8 << 20) { try await store.keyRecords(asked, now: now) }
        let named = found.filter { $0.key.name.lowercased() == text.lowercased() }
        if let only = named.count == 1 ? named.first : found.count == 1 ? found.first : nil { return .key(only.key.id) }
        let what = found.isEmpty ? "No key has the name or id '\(text)'" : "Several keys match '\(text)'"
        return .mistake(FormMistake("key", "\(what): type the id, the 8 characters after hk_live_ or hk_test_"))
    }
}
