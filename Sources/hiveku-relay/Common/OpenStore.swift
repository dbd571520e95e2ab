import Foundation
import RelayCore
import SQLiteStore
import Settings

#if PostgreSQL
    import PostgreSQLStore
#endif

/// What a process opens the store for.
enum StoreUse {
    /// Accepts messages and delivers them. `onSync` gets the seconds that each transaction's sync took. `onDoubt` gets
    /// the outcome of each batch whose commit was in doubt. `onConflict` gets the conflict when servers accept writes
    /// although they must not, and nil when the conflict is over.
    case relay(
        onSync: @Sendable (Double) -> Void, onDoubt: @Sendable (CommitDoubt) -> Void,
        onConflict: @Sendable (PrimaryConflict?) -> Void)
    /// Reads and changes records, then ends.
    case command
}

/// Opens the store that the settings name.
///
/// Blocks on files and connections. Throws a ``StoreError``.
func openStore(_ settings: RelaySettings, for use: StoreUse, now: Timestamp) throws -> any RelayStore {
    switch settings.database {
    case .sqlite(let path):
        switch use {
        case .relay(let onSync, _, _):
            try SQLiteStore(path: path, role: .relay, now: now, storage: settings.storage, onSync: onSync)
        case .command: try SQLiteStore(path: path, role: .tool, now: now)
        }
    case .postgresql(let place): try KnownStores.openServer(place, settings, for: use)
    }
}

/// The stores that this build has. This is the only place that knows whether PostgreSQL is one of them, which the
/// package's trait `PostgreSQL` decides.
enum KnownStores {
    #if PostgreSQL
        static let hasPostgreSQL = true

        fileprivate static func openServer(
            _ place: PostgreSQLPlace, _ settings: RelaySettings, for use: StoreUse
        ) throws -> any RelayStore {
            let requiresReplica = settings.databaseReplica == .required
            switch use {
            case .relay(let onSync, let onDoubt, let onConflict):
                // The machine's name identifies the relay: relays behind a load balancer may have the same `hostname`
                // setting.
                return try PostgreSQLStore(
                    place, role: .relay(name: RelaySettings().hostname, version: relayVersion),
                    storage: settings.storage,
                    requiresReplica: requiresReplica, onSync: onSync, onDoubt: onDoubt, onConflict: onConflict)
            case .command:
                return try PostgreSQLStore(
                    place, role: .tool, storage: settings.storage, requiresReplica: requiresReplica, onSync: { _ in },
                    onDoubt: { _ in }, onConflict: { _ in })
            }
        }

        /// Opens a server's database as source or target of a copy. Blocks on a connection. Throws a ``StoreError``.
        static func copyableServer(_ place: PostgreSQLPlace) throws -> any CopyableStore {
            try PostgreSQLStore(
                place, role: .copy, storage: .unlimited, requiresReplica: false, onSync: { _ in },
                onDoubt: { _ in }, onConflict: { _ in })
        }

        /// Examines a server for `doctor`. Blocks on a connection. Throws a ``StoreError``.
        static func examineServer(_ place: PostgreSQLPlace) throws -> ServerExamination {
            try PostgreSQLStore.examine(place)
        }
    #else
        static let hasPostgreSQL = false

        fileprivate static func openServer(
            _ place: PostgreSQLPlace, _ settings: RelaySettings, for use: StoreUse
        ) throws -> any RelayStore {
            throw missing
        }

        static func copyableServer(_ place: PostgreSQLPlace) throws -> any CopyableStore { throw missing }

        static func examineServer(_ place: PostgreSQLPlace) throws -> ServerExamination { throw missing }

        /// The error of a build without the store on PostgreSQL. Settings that name a PostgreSQL database are refused
        /// before this error can occur.
        private static let missing = StoreError.unavailable(
            "this build supports only SQLite; build it with --traits PostgreSQL")
    #endif
}
