import Foundation
import RelayCore
import SQLiteStore
import Settings

/// What a process wants of the store.
enum StoreUse {
    /// Takes messages and delivers them. `onSync` is told how many seconds the sync of each transaction took.
    case relay(onSync: @Sendable (Double) -> Void)
    /// Reads and changes records, then ends.
    case command
}

/// Opens the store that the settings name: the one place that knows which kinds there are.
///
/// Blocks on files. Throws a ``StoreError``.
func openStore(_ settings: RelaySettings, for use: StoreUse, now: Timestamp) throws -> any RelayStore {
    switch use {
    case .relay(let onSync):
        try SQLiteStore(
            path: settings.database, role: .relay, now: now, storage: settings.storage, onSync: onSync)
    case .command: try SQLiteStore(path: settings.database, role: .tool, now: now)
    }
}
