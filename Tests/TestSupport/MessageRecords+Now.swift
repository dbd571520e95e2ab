import RelayCore

extension MessageRecords {
    /// The messages as they are at ``Sample/now``.
    public func messages(_ filter: MessageFilter) async throws -> [MessageRecord] {
        try await messages(filter, now: Sample.now)
    }
}
