internal import CyxTables

extension VersionStore {
    /// Swaps the layout unless somebody else did, or the version was deleted; nil if that may happen
    /// yet, but is not known.
    func replaceLayout(
        _ old: LayoutRow, with sealed: [UInt8], of version: VersionID
    ) async -> Bool? {
        let key = layoutKey(version)
        do throws(TableError) {
            return try await context.tables.update(key) { state -> (_, Bool) in
                guard let value = state.value, let row = self.layoutRow(value, at: key),
                    row.generation == old.generation, row.fences == old.fences
                else { return (.abandon, false) }
                return (.set(sealed), true)
            }
        } catch {
            return error == .contended ? false : nil
        }
    }
}
