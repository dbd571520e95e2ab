extension RelaySettings {
    /// What reading the settings again comes to for a relay that runs.
    public struct Revision: Sendable {
        /// The settings to run with from now on: those that take a restart are as they were.
        public var settings: RelaySettings
        /// The names of those that change now, in the order of ``reference``.
        public var changed: [String]
        /// The names of those that differ, but change at the next start only.
        public var awaitingRestart: [String]
    }

    /// These settings, revised by what `read` holds.
    public func revised(by read: RelaySettings) -> Revision {
        var revision = Revision(settings: self, changed: [], awaitingRestart: [])
        for setting in RelaySettings.reference where setting.differs(self, read) {
            if setting.needsRestart {
                revision.awaitingRestart.append(setting.name)
            } else {
                setting.copy(read, &revision.settings)
                revision.changed.append(setting.name)
            }
        }
        return revision
    }
}
