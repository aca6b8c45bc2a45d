// The mount table as the kernel prints it, and which of its file systems are worth watching.

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface Mount {
  /** Unique while mounted. */
  id: string
  /** `major:minor`; one file system has one, whatever it is mounted as (btrfs subvolumes share it too). */
  device: string
  /** The directory of the file system that is mounted: `/`, unless a bind mount or a subvolume. */
  root: string
  point: string
  type: string
  source: string
  /**
   * Of the file system, not of this mount: a bind mount may be read-only (systemd's ProtectSystem makes all
   * ours so) while the file system is fine. `failed`: the kernel stopped writing after an error.
   */
  state: 'rw' | 'ro' | 'failed'
  /** It holds data on a disk of this machine, and answers as long as that disk does. */
  local: boolean
}

export interface WatchedMount extends Mount {
  /** It should take writes (it did before, or /etc/fstab says so), and does not. */
  lostWrites: boolean
}

/** Types that hold data on a disk of this machine. Others are pseudo, images, network or FUSE. */
const LOCAL = new Set(
  'ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs nilfs2 reiserfs vfat exfat ntfs3 hfsplus'.split(' '),
)

/** Set by ext4 (Linux ≥ 6.15, which then no longer says `ro`) and f2fs when an error ended all writes. */
const FAILED = ['emergency_ro', 'shutdown']

const plain = (text = '') =>
  text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

/** The text of mountinfo → mounts, in the kernel's order. Lines that make no sense are left out. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // Any number of optional fields stands between the two halves; a dash ends them.
    const [left, right] = line.split(' - ', 2)
    const [id, , device, root, point] = left?.split(' ') ?? []
    const [type, source, options] = right?.split(' ') ?? []
    if (!id || !device || !point || !type || !options) return []
    const flags = options.split(',')
    const state = flags.some((flag) => FAILED.includes(flag)) ? 'failed' : flags.includes('ro') ? 'ro' : 'rw'
    const local = LOCAL.has(type)
    return [
      {
        id,
        device,
        root: plain(root),
        point: plain(point),
        type,
        source: plain(source),
        state,
        local,
      },
    ]
  })
}

/** Mount points that /etc/fstab wants writable. */
export function parseFstab(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([source, , , options]) => source && !source.startsWith('#') && !options?.split(',').includes('ro'),
    )
    .flatMap(([, point]) => (point?.startsWith('/') ? [plain(point)] : []))
}

/** ZFS gives each dataset its own device number, but all of a pool share its space. */
const diskOf = (mount: Mount) => (mount.type === 'zfs' ? (mount.source.split('/')[0] ?? '') : mount.device)

/** Best first: the root directory, then whole file systems, then the shortest path. */
const byName = (a: Mount, b: Mount) =>
  Number(b.point === '/') - Number(a.point === '/') ||
  Number(b.root === '/') - Number(a.root === '/') ||
  a.point.length - b.point.length ||
  a.point.localeCompare(b.point)

/**
 * The mounts to watch: those named, whatever they are; else every real, local file system once.
 * Those that are read-only by intent are left out of the latter; `expected` says which should not be.
 */
export function chooseMounts(
  table: readonly Mount[],
  named?: readonly string[],
  expected: (mount: Mount) => boolean = () => false,
): WatchedMount[] {
  // Of two mounts on one point only the later can be reached.
  const reachable = [...new Map(table.map((mount) => [mount.point, mount])).values()].map((mount) => ({
    ...mount,
    lostWrites: mount.state === 'failed' || (mount.state === 'ro' && expected(mount)),
  }))
  if (named) return reachable.filter(({ point }) => named.includes(point))
  const real = reachable
    // The root directory counts whatever it is (in a container an overlay); its file mounts do not.
    .filter(({ local, point }) => local || point === '/')
    .filter(({ point }) => !/^\/etc\/(hosts|hostname|resolv\.conf)$/.test(point))
    .filter(({ state, lostWrites }) => state === 'rw' || lostWrites)
    .sort(byName)
  return [...Map.groupBy(real, diskOf).values()].flatMap((same) => same.slice(0, 1))
}
