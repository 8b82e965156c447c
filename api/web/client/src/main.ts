import { mount } from 'svelte'
import { keepBuild } from './house/build'
import { missing } from './house/missing'
import { allowOwnScripts } from './house/trusted'
import App from './ui/App.svelte'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no place for the app')

allowOwnScripts()
const lack = missing()
if (lack === null) {
  mount(App, { target })
  keepBuild({ update: () => {}, woken: async () => null, opened: () => {} })
} else {
  target.textContent = lack
}
