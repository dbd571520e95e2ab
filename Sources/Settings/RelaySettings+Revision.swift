extension RelaySettings {
    /// The effect of a reload on a running relay.
    public struct Revision: Sendable {
        /// The settings to run with from now on. Settings that need a restart keep their old values.
        public var settings: RelaySettings
        /// The names of the settings that change now, in the order of ``reference``.
        public var changed: [String]
        /// The names of the settings that differ but change only at the next start.
        public var awaitingRestart: [String]
    }

    /// These settings, with the changes in `read` that can be made while the relay runs.
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
