import { mount } from 'svelte'
import { connect } from './engine/connect'
import { missing } from './house/missing'
import { allowOwnScripts } from './house/trusted'
import App from './ui/App.svelte'
import './ui/styles/tokens.css'
import './ui/styles/base.css'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no place for the app')
allowOwnScripts()
mount(App, { target, props: { connecting: start() } })

async function start() {
  const lack = missing()
  if (lack !== null) throw new Error(lack)
  return await connect()
}
