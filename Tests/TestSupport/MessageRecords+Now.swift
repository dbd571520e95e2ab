import RelayCore

extension MessageRecords {
    /// As they are at ``Sample/now``.
    public func messages(_ filter: MessageFilter) async throws -> [MessageRecord] {
        try await messages(filter, now: Sample.now)
    }
}
