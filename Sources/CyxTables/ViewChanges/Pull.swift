internal import CyxCore

/// One gathering of a partition's state from members of a view.
struct Pull {
    /// The view whose state is pulled.
    var old: ViewID
    /// As of which view the rows are written here, and of whose partition.
    var view: ViewID
    /// Proof of the successor that this peer enters; nil: it only learns.
    var certificate: ViewCertificate?
    /// Whether what is here gives way to what the source has, rather than to be added to. What a
    /// learner was taught may have been deleted and forgotten since (`TableService+Floors`): a new
    /// member begins with what one sealed source has, and adds what the others have.
    var replaces = false

    var partition: Partition { view.partition }
}

/// What one peer gave for a pull.
enum Gathered {
    /// Nothing, or only some of what it has.
    case nothing
    /// All that it had of the view before: one share of the quorum that is needed.
    case share
    /// All that it has of the very view that is entered, which it began with such a quorum's shares.
    case all
}
