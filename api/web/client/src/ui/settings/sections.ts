/** The parts of the settings, in the order of their list. */

import type { Component } from 'svelte'
import type { IconName } from '../parts/icons'
import About from './About.svelte'
import Appearance from './Appearance.svelte'
import Devices from './Devices.svelte'
import History from './History.svelte'
import Notifications from './Notifications.svelte'
import Password from './Password.svelte'
import Privacy from './Privacy.svelte'
import ProfilePart from './ProfilePart.svelte'
import SignOut from './SignOut.svelte'

export interface Section {
  id: string
  title: string
  icon: IconName
  part: Component
}

export const SECTIONS: Section[] = [
  { id: 'profile', title: 'Profile', icon: 'person', part: ProfilePart },
  { id: 'privacy', title: 'Privacy', icon: 'eye', part: Privacy },
  { id: 'devices', title: 'Devices', icon: 'devices', part: Devices },
  { id: 'notifications', title: 'Notifications', icon: 'bell', part: Notifications },
  { id: 'appearance', title: 'Appearance', icon: 'moon', part: Appearance },
  { id: 'password', title: 'Password', icon: 'key', part: Password },
  { id: 'history', title: 'History', icon: 'archive', part: History },
  { id: 'about', title: 'About', icon: 'info', part: About },
  { id: 'out', title: 'Sign out', icon: 'out', part: SignOut },
]
